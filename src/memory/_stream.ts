import { WakeUp } from "../store/_wake_up.ts";
import { judge, layoutChanged, PRODUCER_MEMORY, REMEMBERED_BATCHES } from "../store/_producer.ts";
import type {
  AppendOptions,
  Fields,
  Position,
  ReadRange,
  SharedState,
  StoredRecord,
  TrimOptions,
  TrimResult,
} from "../store/mod.ts";
import { comparePositions, firstPositionAt } from "../store/mod.ts";
import type { MemoryGroup } from "./_group.ts";
import { MemoryState } from "./_state.ts";

interface Remembered {
  last: number;
  /** Positions of the last batches, by the number of the batch; none for one that was refused for its layout. */
  answers: Map<number, readonly Position[]>;
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
  #last: { ms: number; seq: number } | undefined;
  #producers = new Map<string, Remembered>();
  /** Appends of lower layouts are refused. */
  #layout = 0;
  #states = new Map<string, SharedState>();

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

  append(records: readonly Fields[], { producer, layout }: AppendOptions): readonly Position[] {
    const fenced = layout !== undefined && layout < this.#layout;
    if (producer === undefined) {
      if (fenced && records.length > 0) throw layoutChanged(this.name, layout);
      return this.#push(records);
    }
    const state = this.#remember(producer.id);
    const verdict = judge(
      state && { last: state.last, answered: (sequence) => state.answers.get(sequence)?.length },
      producer,
      records.length === 0,
    );
    if (verdict === "answer") return state!.answers.get(producer.sequence)!;
    if (verdict === "refuse") throw layoutChanged(this.name, layout);
    const positions = verdict === "append" && !fenced ? this.#push(records) : [];
    const answers = state?.answers ?? new Map<number, readonly Position[]>();
    if (verdict === "append") answers.set(producer.sequence, positions);
    answers.delete(producer.sequence - REMEMBERED_BATCHES);
    const last = Math.max(state?.last ?? 0, producer.sequence);
    this.#producers.set(producer.id, { last, answers, expires: this.now() + PRODUCER_MEMORY });
    if (verdict === "append" && fenced) throw layoutChanged(this.name, layout);
    return positions;
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

  // Positions must rise even if the clock stands still or goes back.
  #push(records: readonly Fields[]): Position[] {
    const now = this.now();
    const positions: Position[] = [];
    for (const fields of records) {
      const last = this.#last;
      this.#last = last && last.ms >= now ? { ms: last.ms, seq: last.seq + 1 } : { ms: now, seq: 0 };
      const position: Position = `${this.#last.ms}-${this.#last.seq}`;
      this.#records.push({ position, fields });
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

  #indexAfter(position: Position): number {
    const index = this.indexOf(position);
    return this.at(index)?.position === position ? index + 1 : index;
  }

  trim({ maxAge = Infinity, maxLength = Infinity, force = false }: TrimOptions): TrimResult {
    let wanted = Math.max(this.#trimmed, this.end - maxLength);
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
    this.#records.splice(0, removed);
    this.#trimmed += removed;
    return { removed, pinnedBy };
  }
}
