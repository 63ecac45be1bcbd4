import type { EventStore, RevisedRecord } from "../../store/mod.ts";
import type { StreamLayout } from "../partitions/_stream_layout.ts";

// Of how many subjects the base is remembered.
const MAX_BASES = 10_000;

/**
 * Finds the revisions that subjects had in other partitions before the number of partitions changed. Numbering goes on
 * after them.
 */
export class Bases {
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
  async add<R extends RevisedRecord>(records: readonly R[]): Promise<R[]> {
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
