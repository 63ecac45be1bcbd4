import { notePublication, type Publication as Noted, publicationOf, recordIn } from "../../events/_state.ts";
import type { DomainEvent } from "../../events/mod.ts";
import type { Fields, Position, When } from "../../store/mod.ts";
import type { PublishError, UncertainPublishError } from "../errors.ts";
import type { Encoded } from "./_encoded.ts";
import type { ExpectedRevision } from "./_expected_revision.ts";
import type { QueuedPublish } from "./_stream_publisher.ts";

/** The publisher of a publication. */
export interface PublicationOwner {
  /** The outcome of the publication is known, or will never be known. */
  known(publication: Publication): void;
  /** The store does not have its events. */
  refused(publication: Publication): void;
}

/** The final outcome: the positions; or that nothing was stored; or the error, if the store can no longer tell. */
export type PublishOutcome = readonly Position[] | "refused" | { readonly error: unknown };

/** The events of one call of `publish` that belong to one stream, and their outcome. */
export class Publication implements QueuedPublish, Noted {
  readonly by: PublicationOwner;
  readonly events: readonly DomainEvent[];
  readonly records: readonly Fields[];
  readonly bytes: number;
  readonly deadline: number;
  readonly expected: ExpectedRevision | undefined;
  readonly when: When | undefined;
  withdrawn = false;
  /** The final outcome; undefined before it is known. */
  outcome: PublishOutcome | undefined;
  #promise: Promise<unknown>;
  #resolve!: (answer: unknown) => void;
  #reject!: (error: unknown) => void;
  #single: boolean;
  #onKnown: (() => void)[] | undefined;

  /** @param single Whether the caller awaits one position, and not an array. */
  constructor(by: PublicationOwner, { events, records, bytes, deadline, expected, when }: Encoded, single: boolean) {
    this.by = by;
    this.events = events;
    this.records = records;
    this.bytes = bytes;
    this.deadline = deadline;
    this.expected = expected;
    this.when = when;
    this.#single = single;
    this.#promise = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  get ids(): readonly string[] {
    return this.events.map(({ id }) => id);
  }

  /** The promise of a call with one event. */
  get position(): Promise<Position> {
    return this.#promise as Promise<Position>;
  }

  /** The promise of a call with an array. */
  get positions(): Promise<readonly Position[]> {
    return this.#promise as Promise<readonly Position[]>;
  }

  stored(positions: readonly Position[], from: number, revisions: readonly number[] | undefined): void {
    const { events } = this;
    const own = events.length === positions.length ? positions : positions.slice(from, from + events.length);
    for (let nth = 0; nth < events.length; nth++) {
      const record = recordIn(events[nth]!);
      record.position = own[nth]!;
      record.revision = revisions?.[from + nth];
    }
    this.#known(own);
    this.#resolve(this.#single ? own[0] : own);
  }

  scheduled(dues: readonly number[], from: number): void {
    for (const [nth, event] of this.events.entries()) recordIn(event).scheduledFor = dues[from + nth]!;
    this.#known([]);
    this.#resolve([]);
  }

  refused(error: unknown): void {
    this.by.refused(this);
    this.#known("refused");
    this.#reject(error);
  }

  uncertain(error: PublishError | UncertainPublishError, forgotten: boolean): void {
    if (forgotten) this.#known({ error });
    this.#reject(error);
  }

  #known(outcome: PublishOutcome): void {
    this.outcome = outcome;
    this.by.known(this);
    if (this.#onKnown === undefined) return;
    for (const callback of this.#onKnown.splice(0)) callback();
  }

  /** The caller no longer waits: its promise rejects with the reason. */
  withdraw(reason: unknown): void {
    this.withdrawn = true;
    this.#reject(reason);
  }

  /** Calls back once the outcome is known: now, if it is known already. */
  whenKnown(callback: () => void): void {
    if (this.outcome === undefined) (this.#onKnown ??= []).push(callback);
    else callback();
  }
}

/** The publications of one publisher, by event: of events that are stored, or may be stored. */
export class Publications {
  #by: PublicationOwner;
  /** For events that were given to another publisher first, which is rare. */
  #others: WeakMap<DomainEvent, Publication> | undefined;

  constructor(by: PublicationOwner) {
    this.#by = by;
  }

  get(event: DomainEvent): Publication | undefined {
    const publication = publicationOf(event);
    return publication?.by === this.#by ? publication as Publication : this.#others?.get(event);
  }

  set(event: DomainEvent, publication: Publication): void {
    const noted = publicationOf(event);
    if (noted === undefined || noted.by === this.#by) notePublication(event, publication);
    else (this.#others ??= new WeakMap()).set(event, publication);
  }

  delete(event: DomainEvent): void {
    if (publicationOf(event)?.by === this.#by) notePublication(event, undefined);
    else this.#others?.delete(event);
  }
}
