import type { DomainEvent } from "../../events/mod.ts";
import type { Fields, Position, When } from "../../store/mod.ts";
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
  const revisions: number[] = [];
  const dues: number[] = [];
  const errors: unknown[] = [];
  let open = parts.length;
  const closed = () => {
    if (--open > 0) return;
    if (errors.length === 0 && whole.when !== undefined) return whole.scheduled(dues, 0);
    if (errors.length === 0) return whole.stored(positions as Position[], 0, revisions);
    if (errors.length === parts.length) return whole.refused(errors[0]);
    const message =
      `Cannot publish to ${errors.length} of ${parts.length} partitions: errors has the reasons; positions ` +
      `tells which events were stored`;
    whole.uncertain(new PublishError(errors, message, positions), true);
  };
  return parts.map((indexes) => new PublishPart(whole, indexes, { positions, revisions, dues, errors, closed }));
}

/** What the parts of a split publish have in common. */
interface Parts {
  /** By the index of the event. */
  readonly positions: (Position | undefined)[];
  /** The same; empty in a stream without revisions. */
  readonly revisions: number[];
  /** The same; empty for a publish that is not scheduled. */
  readonly dues: number[];
  readonly errors: unknown[];
  /** The outcome of a part is known. */
  closed(): void;
}

/** The events of a split publish that belong to one stream. */
class PublishPart implements QueuedPublish {
  readonly events: readonly DomainEvent[];
  readonly records: readonly Fields[];
  readonly bytes: number;
  readonly deadline: number;
  // A publish that expects a revision is not split.
  readonly expected = undefined;
  #whole: QueuedPublish;
  #indexes: readonly number[];
  #parts: Parts;

  constructor(whole: QueuedPublish, indexes: readonly number[], parts: Parts) {
    this.#whole = whole;
    this.#indexes = indexes;
    this.#parts = parts;
    this.events = indexes.map((index) => whole.events[index]!);
    this.records = indexes.map((index) => whole.records[index]!);
    this.bytes = whole.bytes * indexes.length / whole.events.length;
    this.deadline = whole.deadline;
  }

  get ids(): readonly string[] {
    return this.events.map(({ id }) => id);
  }

  get when(): When | undefined {
    return this.#whole.when;
  }

  get withdrawn(): boolean {
    return this.#whole.withdrawn;
  }

  stored(positions: readonly Position[], from: number, revisions: readonly number[] | undefined): void {
    const { positions: all, revisions: numbers, closed } = this.#parts;
    for (const [nth, index] of this.#indexes.entries()) {
      all[index] = positions[from + nth]!;
      if (revisions !== undefined) numbers[index] = revisions[from + nth]!;
    }
    closed();
  }

  scheduled(dues: readonly number[], from: number): void {
    for (const [nth, index] of this.#indexes.entries()) this.#parts.dues[index] = dues[from + nth]!;
    this.#parts.closed();
  }

  refused(error: unknown): void {
    this.#parts.errors.push(error);
    this.#parts.closed();
  }

  uncertain(error: PublishError | UncertainPublishError, forgotten: boolean): void {
    this.#whole.uncertain(error, false);
    if (forgotten) this.refused(error);
  }
}
