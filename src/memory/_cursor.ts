import {
  comparePositions,
  type MemberOptions,
  type Position,
  type RemovedRange,
  type StoredRecord,
} from "../store/mod.ts";

/** The entries of a stream by index. The index of an entry never changes: removed entries leave a gap. */
export interface Entries {
  /** The index of the first entry that was not removed. */
  readonly start: number;
  /** The index of the next entry to be appended. */
  readonly end: number;
  at(index: number): StoredRecord | undefined;
  /** The index of the first entry at or after a position. */
  indexOf(position: Position): number;
}

/** Where a group reads next in its stream, and which entries were removed before it read them. */
export class Cursor {
  #stream: Entries;
  #next = 0;
  /** The first position to read, while it is still to come. */
  #notBefore: Position | undefined;
  /** Entries that were removed before the group read them, until a claim reports them. */
  #removed: RemovedRange | undefined;

  constructor(stream: Entries, to: MemberOptions["startFrom"]) {
    this.#stream = stream;
    this.seek(to);
  }

  /** Moves the cursor. */
  seek(to: MemberOptions["startFrom"]): void {
    this.#notBefore = undefined;
    if (to === "beginning") this.#next = this.#stream.start;
    else if (to === "now") this.#next = this.#stream.end;
    else {
      this.#notBefore = to;
      this.#next = this.#stream.indexOf(to);
    }
  }

  /** Returns the index of the next entry to read, or the end of the stream. */
  next(): number {
    if (this.#next < this.#stream.start) this.#next = this.#stream.start;
    while (this.#notBefore !== undefined && this.#next < this.#stream.end) {
      if (comparePositions(this.#stream.at(this.#next)!.position, this.#notBefore) >= 0) this.#notBefore = undefined;
      else this.#next++;
    }
    return this.#next;
  }

  /** Marks all entries before this index as read. */
  advance(index: number): void {
    this.#next = index;
  }

  /** To be called before entries are removed from the stream, up to the index `end`, exclusive: notes the unread ones. */
  noteRemoved(end: number): void {
    const next = this.next();
    if (next >= end) return;
    this.#removed = {
      from: this.#removed?.from ?? this.#stream.at(next)!.position,
      to: this.#stream.at(end - 1)!.position,
      count: (this.#removed?.count ?? 0) + end - next,
    };
  }

  /** Returns the range of removed unread entries, and resets it: it is reported once. */
  takeRemoved(): RemovedRange | undefined {
    const removed = this.#removed;
    this.#removed = undefined;
    return removed;
  }
}
