import { type Publication, recordIn } from "../../events/_state.ts";
import type { DomainEvent } from "../../events/mod.ts";
import type { Fields, Position } from "../../store/mod.ts";
import type { Parcel } from "./_stream_publisher.ts";
import type { UncertainPublishError } from "../errors.ts";

/** Who hears how it ends. */
export interface OutgoingOwner {
  /** It is known what became of the events, or that nobody will ever know. */
  known(outgoing: Outgoing): void;
  /** The store does not have them. */
  refused(outgoing: Outgoing): void;
}

/** What became of events: where they are stored, that they are not, or that nobody will ever know. */
export type Truth = readonly Position[] | "refused" | { readonly error: unknown };

/** Events on their way into one stream, and what is known of them. */
export class Outgoing implements Parcel, Publication {
  /** The publisher that they were given to. */
  readonly by: OutgoingOwner;
  readonly events: readonly DomainEvent[];
  readonly records: readonly Fields[];
  readonly bytes: number;
  readonly deadline: number;
  withdrawn = false;
  /** What is known by now. */
  truth: Truth | undefined;
  #promise: Promise<unknown>;
  #resolve!: (answer: unknown) => void;
  #reject!: (error: unknown) => void;
  #single: boolean;
  #curious: (() => void)[] | undefined;

  /** @param single Whether the caller awaits one position, and not several. */
  constructor(
    by: OutgoingOwner,
    events: readonly DomainEvent[],
    records: readonly Fields[],
    bytes: number,
    deadline: number,
    single: boolean,
  ) {
    this.by = by;
    this.events = events;
    this.records = records;
    this.bytes = bytes;
    this.deadline = deadline;
    this.#single = single;
    this.#promise = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  /** What the caller awaits who gave one event. */
  get position(): Promise<Position> {
    return this.#promise as Promise<Position>;
  }

  /** What the caller awaits who gave several. */
  get positions(): Promise<readonly Position[]> {
    return this.#promise as Promise<readonly Position[]>;
  }

  stored(positions: readonly Position[], from: number): void {
    const { events } = this;
    const mine = events.length === positions.length ? positions : positions.slice(from, from + events.length);
    for (let nth = 0; nth < events.length; nth++) recordIn(events[nth]!).position = mine[nth]!;
    this.#known(mine);
    this.#resolve(this.#single ? mine[0] : mine);
  }

  refused(error: unknown): void {
    this.by.refused(this);
    this.#known("refused");
    this.#reject(error);
  }

  uncertain(error: UncertainPublishError, forgotten: boolean): void {
    if (forgotten) this.#known({ error });
    this.#reject(error);
  }

  #known(truth: Truth): void {
    this.truth = truth;
    this.by.known(this);
    if (this.#curious === undefined) return;
    for (const tell of this.#curious.splice(0)) tell();
  }

  /** The caller waits no longer. */
  withdraw(reason: unknown): void {
    this.withdrawn = true;
    this.#reject(reason);
  }

  /** Calls back once it is known what became of the events. */
  whenKnown(tell: () => void): void {
    if (this.truth === undefined) (this.#curious ??= []).push(tell);
    else tell();
  }
}
