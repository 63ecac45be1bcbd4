import { stamp } from "../events/_state.ts";
import type { DomainEvent } from "../events/mod.ts";
import type { Fields, Position } from "../store/mod.ts";
import type { Parcel } from "./_lane.ts";
import type { UncertainPublishError } from "./errors.ts";

/** Who hears how it ends. */
export interface OutgoingOwner {
  /** It is known what became of the events, or that nobody will ever know. */
  known(outgoing: Outgoing): void;
  /** The store does not have them. */
  refused(outgoing: Outgoing): void;
}

/** Events on their way into one stream, and what is known of them. */
export class Outgoing implements Parcel {
  readonly events: readonly DomainEvent[];
  readonly records: readonly Fields[];
  readonly bytes: number;
  readonly deadline: number;
  withdrawn = false;
  /** What the caller awaits. */
  readonly answer: Promise<readonly Position[]>;
  #resolve!: (positions: readonly Position[]) => void;
  #reject!: (error: unknown) => void;
  #owner: OutgoingOwner;
  /** What turned out: positions, undefined when it is certain that nothing was stored, or why nobody can tell. */
  #truth: { readonly positions: readonly Position[] | undefined } | { readonly error: unknown } | undefined;
  #curious: (() => void)[] = [];

  constructor(
    events: readonly DomainEvent[],
    records: readonly Fields[],
    bytes: number,
    deadline: number,
    owner: OutgoingOwner,
  ) {
    this.events = events;
    this.records = records;
    this.bytes = bytes;
    this.deadline = deadline;
    this.#owner = owner;
    this.answer = new Promise((resolve, reject) => [this.#resolve, this.#reject] = [resolve, reject]);
  }

  stored(positions: readonly Position[]): void {
    this.events.forEach((event, index) => stamp(event, { position: positions[index]! }));
    this.#known({ positions });
    this.#resolve(positions);
  }

  refused(error: unknown): void {
    this.#owner.refused(this);
    this.#known({ positions: undefined });
    this.#reject(error);
  }

  uncertain(error: UncertainPublishError, forgotten: boolean): void {
    if (forgotten) this.#known({ error });
    this.#reject(error);
  }

  #known(truth: NonNullable<typeof this.truth>): void {
    this.#truth = truth;
    this.#owner.known(this);
    for (const tell of this.#curious.splice(0)) tell();
  }

  /** What is known by now. */
  get truth(): { readonly positions: readonly Position[] | undefined } | { readonly error: unknown } | undefined {
    return this.#truth;
  }

  /** The caller waits no longer. */
  withdraw(reason: unknown): void {
    this.withdrawn = true;
    this.#reject(reason);
  }

  /** Calls back once it is known what became of the events. */
  whenKnown(tell: () => void): void {
    if (this.#truth === undefined) this.#curious.push(tell);
    else tell();
  }
}
