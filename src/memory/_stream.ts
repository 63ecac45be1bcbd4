import { WakeUp } from "../store/_wake_up.ts";
import { sizeOf } from "../store/_size.ts";
import { conflict, isConflict, judge, layoutChanged, PRODUCER_MEMORY, REMEMBERED_BATCHES } from "../store/_producer.ts";
import type {
  AppendOptions,
  Fields,
  Limiter,
  Position,
  ReadRange,
  Revised,
  RevisedOptions,
  RevisedRecord,
  ScheduledRecord,
  SharedState,
  StoredRecord,
  StreamSchedule,
  SubjectRange,
  TrimOptions,
  TrimResult,
} from "../store/mod.ts";
import { comparePositions, firstPositionAt, StoreError } from "../store/mod.ts";
import type { MemoryGroup } from "./_group.ts";
import { load } from "../store/_load.ts";
import { MemorySchedule, Waiting } from "./_schedule.ts";
import { MemoryState } from "./_state.ts";
import { Subjects } from "./_subjects.ts";

/**
 * The answer to a batch: positions, with revisions where it has them; due times of scheduled entries; or the conflict that
 * decided it. No positions if it was refused for its layout.
 */
type Answer = readonly Position[] | readonly Revised[] | readonly number[] | StoreError;

interface Remembered {
  last: number;
  /** The answers to the last batches, by the number of the batch. */
  answers: Map<number, Answer>;
  expires: number;
}

/** One stream: its entries, its groups, and the state of its producers. */
export class MemoryStream {
  readonly name: string;
  readonly groups: Map<string, MemoryGroup> = new Map();
  /** Wakes waiting readers and members, which then look again. */
  readonly wakeUp: WakeUp = new WakeUp();
  readonly now: () => number;
  #records: StoredRecord[] = [];
  #trimmed = 0;
  #bytes = 0;
  #last: { ms: number; seq: number } | undefined;
  #producers = new Map<string, Remembered>();
  /** Appends of lower layouts are refused. */
  #layout = 0;
  #states = new Map<string, SharedState>();
  #limiters = new Map<string, Promise<Limiter>>();
  #subjects = new Subjects();
  /** By layout. */
  #schedules = new Map<number, Waiting>();

  constructor(name: string, now: () => number) {
    this.name = name;
    this.now = now;
  }

  /** How many entries were ever appended: the index of the next one. */
  get end(): number {
    return this.#trimmed + this.#records.length;
  }

  /** The index of the first entry that was not removed. */
  get start(): number {
    return this.#trimmed;
  }

  /** The size of its entries: their names and values, in characters. */
  get bytes(): number {
    return this.#bytes;
  }

  /** The highest position ever given. */
  get last(): Position | undefined {
    return this.#last && `${this.#last.ms}-${this.#last.seq}`;
  }

  /** Returns the entry with this index; undefined if it was removed. Removed entries count, so an index never changes. */
  at(index: number): StoredRecord | undefined {
    return this.#records[index - this.#trimmed];
  }

  /** Returns the index of the first entry at or after a position. */
  indexOf(position: Position): number {
    let low = 0;
    let high = this.#records.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (comparePositions(this.#records[middle]!.position, position) < 0) low = middle + 1;
      else high = middle;
    }
    return this.#trimmed + low;
  }

  append(records: readonly Fields[], options: AppendOptions): readonly Position[] {
    return this.#once(options, records.length, () => this.#push(records));
  }

  appendRevised(records: readonly RevisedRecord[], options: RevisedOptions): readonly Revised[] {
    return this.#once(options, records.length, () => {
      this.#assertExpected(records, options.expected);
      const revisions: number[] = [];
      const positions = this.#push(records.map(({ fields, subject, base = 0 }, nth) => {
        revisions.push(this.#subjects.add(subject, this.end + nth, base));
        return [...fields, "revision", String(revisions[nth])];
      }));
      return positions.map((position, nth) => ({ position, revision: revisions[nth]! }));
    });
  }

  #assertExpected(records: readonly RevisedRecord[], expected: RevisedOptions["expected"]): void {
    if (expected === undefined) return;
    const { subject } = expected;
    const bases = records.map((record) => record.subject === subject ? record.base ?? 0 : 0);
    const found = Math.max(this.revisionOf(subject), ...bases);
    if (found !== expected.revision) throw conflict(this.name, expected, found);
  }

  revisionOf(subject: string): number {
    return this.#subjects.revisionOf(subject);
  }

  /** Appends a batch of `count` records once; the same batch gets the same answer again. */
  #once<A extends Answer>({ producer, layout }: AppendOptions, count: number, append: () => A): A {
    const fenced = layout !== undefined && layout < this.#layout;
    if (producer === undefined) {
      if (fenced && count > 0) throw layoutChanged(this.name, layout);
      return append();
    }
    const state = this.#remember(producer.id);
    const verdict = judge(
      state && { last: state.last, answered: (sequence) => lengthOf(state.answers.get(sequence)) },
      producer,
      count === 0,
    );
    if (verdict === "refuse") throw layoutChanged(this.name, layout);
    // A producer uses one kind of append for a stream.
    if (verdict === "answer") return given(state!.answers.get(producer.sequence) as A);
    const answer = verdict === "append" && !fenced ? decided(append) : [];
    const answers = state?.answers ?? new Map<number, Answer>();
    if (verdict === "append") answers.set(producer.sequence, answer);
    answers.delete(producer.sequence - REMEMBERED_BATCHES);
    const last = Math.max(state?.last ?? 0, producer.sequence);
    this.#producers.set(producer.id, { last, answers, expires: this.now() + PRODUCER_MEMORY });
    if (verdict === "append" && fenced) throw layoutChanged(this.name, layout);
    return given(answer as A);
  }

  /** Refuses appends of lower layouts from now on. */
  fence(layout: number): Position | undefined {
    this.#layout = Math.max(this.#layout, layout);
    return this.last;
  }

  /** A text that is shared by this name. */
  state(name: string): SharedState {
    let state = this.#states.get(name);
    if (state === undefined) this.#states.set(name, state = new MemoryState(this.name, name, this.now));
    return state;
  }

  /** What is to be appended later by callers that chose this stream by this layout. */
  schedule(layout: number | undefined): StreamSchedule {
    let waiting = this.#schedules.get(layout ?? 0);
    if (waiting === undefined) this.#schedules.set(layout ?? 0, waiting = new Waiting());
    return new MemorySchedule(this, waiting, layout);
  }

  /** Adds a batch of entries to a schedule once. */
  addOnce(waiting: Waiting, records: readonly ScheduledRecord[], options: AppendOptions): readonly number[] {
    return this.#once(options, records.length, () => waiting.add(records, this.now()));
  }

  /** Throws if a later layout than this one is in force. */
  assertLayout(layout: number | undefined): void {
    if (layout !== undefined && layout < this.#layout) throw layoutChanged(this.name, layout);
  }

  // Loaded on demand, since few groups have limits.
  async #newLimiter(): Promise<Limiter> {
    const { MemoryLimiter } = await load(() => import("./_limiter.ts"));
    return new MemoryLimiter(this.now);
  }

  /** The limiter of this name. */
  limiter(name: string): Limiter {
    const limiter = this.#limiters.get(name) ?? this.#newLimiter();
    this.#limiters.set(name, limiter);
    return { take: async (...args) => await (await limiter).take(...args) };
  }

  // Positions must rise even if the clock stands still or goes back.
  #push(records: readonly Fields[]): Position[] {
    const now = this.now();
    const positions: Position[] = [];
    for (const fields of records) {
      const last = this.#last;
      this.#last = last && last.ms >= now ? { ms: last.ms, seq: last.seq + 1 } : { ms: now, seq: 0 };
      const position: Position = `${this.#last.ms}-${this.#last.seq}`;
      this.#records.push({ position, fields });
      this.#bytes += sizeOf(fields);
      positions.push(position);
    }
    if (records.length > 0) this.wakeUp.wake();
    return positions;
  }

  #remember(id: string): Remembered | undefined {
    const now = this.now();
    const state = this.#producers.get(id);
    if (state === undefined) {
      // Clean up here, since a new producer is rare: delete producers that have expired.
      for (const [other, { expires }] of this.#producers) if (expires <= now) this.#producers.delete(other);
    }
    return state;
  }

  async *read(range: ReadRange, pageSize: number): AsyncGenerator<readonly StoredRecord[]> {
    const { limit = Infinity, reverse = false, follow = false, signal } = range;
    signal?.throwIfAborted();
    // Looked up again until the first page: `from` and `after` may be positions of the future.
    const lowest = () =>
      Math.max(
        range.from === undefined ? 0 : this.indexOf(range.from),
        range.after === undefined ? 0 : this.#indexAfter(range.after),
      );
    // Looked up again for each page, since entries may be appended or trimmed.
    const bound = () => range.to === undefined ? this.end : this.#indexAfter(range.to);
    let next: number | undefined;
    let high = bound();
    for (let left = limit; left > 0;) {
      signal?.throwIfAborted();
      const low = Math.max(next ?? lowest(), this.#trimmed);
      if (!reverse) high = bound();
      const size = Math.min(pageSize, left, high - low);
      if (size > 0) {
        const from = reverse ? high - size : low;
        const page = this.#records.slice(from - this.#trimmed, from - this.#trimmed + size);
        left -= size;
        if (reverse) high -= size;
        else next = low + size;
        yield reverse ? page.reverse() : page;
      } else if (follow) {
        await this.wakeUp.wait(signal);
      } else return;
    }
  }

  async *readSubject(
    subject: string,
    { fromRevision = 1, toRevision = Infinity, limit = Infinity, reverse = false, signal }: SubjectRange,
    pageSize: number,
  ): AsyncGenerator<readonly StoredRecord[]> {
    let [low, high] = [fromRevision, toRevision];
    for (let left = limit; left > 0;) {
      signal?.throwIfAborted();
      const page = this.#subjects.page(subject, low, high, Math.min(pageSize, left), reverse);
      if (page.length === 0) return;
      left -= page.length;
      if (reverse) high = page[0]!.revision - 1;
      else low = page.at(-1)!.revision + 1;
      const records = page.map(({ index }) => this.at(index)!);
      yield reverse ? records.reverse() : records;
    }
  }

  #indexAfter(position: Position): number {
    const index = this.indexOf(position);
    return this.at(index)?.position === position ? index + 1 : index;
  }

  trim({ maxAge = Infinity, maxLength = Infinity, maxBytes = Infinity, force = false }: TrimOptions): TrimResult {
    let wanted = Math.max(this.#trimmed, this.end - maxLength, this.#firstWithin(maxBytes));
    if (maxAge !== Infinity) wanted = Math.max(wanted, this.indexOf(firstPositionAt(this.now() - maxAge)));
    let allowed = wanted;
    let pinnedBy: string | undefined;
    for (const group of force ? [] : this.groups.values()) {
      const floor = group.floor();
      if (floor < allowed) [allowed, pinnedBy] = [floor, group.name];
    }
    const removed = Math.max(0, allowed - this.#trimmed);
    if (force && removed > 0) {
      for (const group of this.groups.values()) group.noteRemoved(allowed);
      this.wakeUp.wake();
    }
    for (const { fields } of this.#records.splice(0, removed)) this.#bytes -= sizeOf(fields);
    this.#trimmed += removed;
    this.#subjects.trim(this.#trimmed);
    return { removed, pinnedBy };
  }

  /** The index of the first entry to keep, so that the entries take at most so many bytes. */
  #firstWithin(maxBytes: number): number {
    let kept = 0;
    for (let left = this.#bytes; left > maxBytes && kept < this.#records.length; kept++) {
      left -= sizeOf(this.#records[kept]!.fields);
    }
    return this.#trimmed + kept;
  }
}

function lengthOf(answer: Answer | undefined): number | undefined {
  return answer instanceof StoreError ? 1 : answer?.length;
}

/** What `append` returns, or the conflict by which it decides the batch. */
function decided(append: () => Answer): Answer {
  try {
    return append();
  } catch (error) {
    if (isConflict(error)) return error;
    throw error;
  }
}

function given<A extends Answer>(answer: A): A {
  if (answer instanceof StoreError) throw answer;
  return answer;
}
