import type { AppendOptions, EventStore, Fields, Position, RevisedRecord } from "../../store/mod.ts";
import type { StreamLayout } from "../partitions/_stream_layout.ts";
import type { QueuedPublish } from "./_stream_publisher.ts";

// Of how many subjects the base is remembered.
const MAX_BASES = 10_000;

/** What the store has appended, record by record. */
export interface Appended {
  readonly positions: readonly Position[];
  /** Undefined in a stream without revisions. */
  readonly revisions: readonly number[] | undefined;
}

/** Appends publishes to a stream as one batch. Without publishes, it asks about the batch and gives it up. */
export type Append = (publishes: readonly QueuedPublish[], options: AppendOptions) => Promise<Appended>;

/** Appends to a stream without revisions. */
export function plainAppend(store: EventStore, stream: string): Append {
  return async (publishes, options) => {
    const records: Fields[] = [];
    for (const publish of publishes) for (const record of publish.records) records.push(record);
    return { positions: await store.append(stream, records, options), revisions: undefined };
  };
}

/** Appends to a stream with revisions, or to one of its partitions. */
export function revisedAppend(store: EventStore, stream: string, layout: StreamLayout): Append {
  const bases = new Bases(store, stream, layout);
  return async (publishes, options) => {
    const records: RevisedRecord[] = [];
    for (const { events, records: own } of publishes) {
      for (let nth = 0; nth < own.length; nth++) records.push({ fields: own[nth]!, subject: events[nth]!.subject! });
    }
    // A publish that expects a revision is alone in its batch.
    const expected = publishes[0]?.expected;
    const all = expected === undefined ? options : { ...options, expected };
    const revised = await store.appendRevised(
      stream,
      layout.layouts.length === 1 ? records : await bases.add(records),
      all,
    );
    return { positions: revised.map(({ position }) => position), revisions: revised.map(({ revision }) => revision) };
  };
}

/**
 * Finds the revisions that subjects had in other partitions before the number of partitions changed. Numbering goes on
 * after them.
 */
class Bases {
  #store: EventStore;
  #stream: string;
  #layout: StreamLayout;
  /** The number of the layout in which the bases were found. */
  #id = -1;
  /** By subject. They do not change, because the other partitions take no more events. */
  #found = new Map<string, number>();
  /** Batches are sent in the order of the calls. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(store: EventStore, stream: string, layout: StreamLayout) {
    this.#store = store;
    this.#stream = stream;
    this.#layout = layout;
  }

  /** The records with their bases. */
  async add(records: readonly RevisedRecord[]): Promise<RevisedRecord[]> {
    const subjects = [...new Set(records.map(({ subject }) => subject))];
    const turn = Promise.all([Promise.all(subjects.map((subject) => this.#of(subject))), this.#turn]);
    this.#turn = turn.catch(() => {});
    const [found] = await turn;
    const bases = new Map(subjects.map((subject, nth) => [subject, found[nth]!]));
    return records.map((record) => ({ ...record, base: bases.get(record.subject)! }));
  }

  async #of(subject: string): Promise<number> {
    const { layouts, newest } = this.#layout;
    if (this.#id !== newest.id || this.#found.size > MAX_BASES) this.#found.clear();
    this.#id = newest.id;
    const known = this.#found.get(subject);
    if (known !== undefined) return known;
    const others = new Set(layouts.map((layout) => this.#layout.streamOf(subject, layout)));
    others.delete(this.#stream);
    const revisions = await Promise.all([...others].map((stream) => this.#store.revision(stream, subject)));
    const base = Math.max(0, ...revisions);
    if (this.#id === newest.id) this.#found.set(subject, base);
    return base;
  }
}
