import type { DomainEvent } from "../../events/mod.ts";
import type { Fields, Position } from "../../store/mod.ts";
import { PublishError, type UncertainPublishError } from "../errors.ts";
import type { QueuedPublish } from "./_stream_publisher.ts";

/**
 * Splits a publish whose events belong to several streams since the number of partitions has changed. It is stored once all
 * parts are.
 *
 * @param parts The indexes of the events of each part.
 */
export function splitPublish(whole: QueuedPublish, parts: readonly (readonly number[])[]): QueuedPublish[] {
  const positions: (Position | undefined)[] = whole.events.map(() => undefined);
  const errors: unknown[] = [];
  let open = parts.length;
  const closed = () => {
    if (--open > 0) return;
    if (errors.length === 0) return whole.stored(positions as Position[], 0);
    if (errors.length === parts.length) return whole.refused(errors[0]);
    const message =
      `Cannot publish to ${errors.length} of ${parts.length} partitions: errors has the reasons; positions ` +
      `tells which events were stored`;
    whole.uncertain(new PublishError(errors, message, positions), true);
  };
  return parts.map((indexes) => new PublishPart(whole, indexes, positions, errors, closed));
}

/** The events of a split publish that belong to one stream. */
class PublishPart implements QueuedPublish {
  readonly events: readonly DomainEvent[];
  readonly records: readonly Fields[];
  readonly bytes: number;
  readonly deadline: number;
  #whole: QueuedPublish;
  #indexes: readonly number[];
  #positions: (Position | undefined)[];
  #errors: unknown[];
  #closed: () => void;

  constructor(
    whole: QueuedPublish,
    indexes: readonly number[],
    positions: (Position | undefined)[],
    errors: unknown[],
    closed: () => void,
  ) {
    this.#whole = whole;
    this.#indexes = indexes;
    this.#positions = positions;
    this.#errors = errors;
    this.#closed = closed;
    this.events = indexes.map((index) => whole.events[index]!);
    this.records = indexes.map((index) => whole.records[index]!);
    this.bytes = whole.bytes * indexes.length / whole.events.length;
    this.deadline = whole.deadline;
  }

  get ids(): readonly string[] {
    return this.events.map(({ id }) => id);
  }

  get withdrawn(): boolean {
    return this.#whole.withdrawn;
  }

  stored(positions: readonly Position[], from: number): void {
    for (const [nth, index] of this.#indexes.entries()) this.#positions[index] = positions[from + nth]!;
    this.#closed();
  }

  refused(error: unknown): void {
    this.#errors.push(error);
    this.#closed();
  }

  uncertain(error: PublishError | UncertainPublishError, forgotten: boolean): void {
    this.#whole.uncertain(error, false);
    if (forgotten) this.refused(error);
  }
}
