import { sizeOf } from "../../../store/_size.ts";
import type { StoredRecord } from "../../../store/mod.ts";
import type { Share } from "./_shared_window.ts";

// Assumed of each entry before the first claim, in bytes. With the default of `prefetchBytes`, the first claim may then be as
// large as any: a smaller one would leave entries of a small group to other consumers.
const FIRST_GUESS = 128 * 2 ** 10;

/**
 * How many bytes a consumer holds at once. The size of an entry is known only once it was claimed. So a claim asks for as
 * many entries as fit if none of them is larger than the largest one of the last claims.
 */
export class ByteWindow {
  #most: number;
  #held = 0;
  #expected = FIRST_GUESS;
  #claims = 0;
  #share: Share | undefined;

  /** @param share Given if it reads one of several partitions. */
  constructor(most: number, share?: Share) {
    this.#most = most;
    this.#share = share;
  }

  /** Whether there was one claim, which was small because no size was known: a second one may follow at once. */
  get probed(): boolean {
    return this.#claims === 1;
  }

  /**
   * How many entries to claim now, at least one while there is room. None until half of the window is free, unless handlers
   * are idle.
   */
  room(idle: boolean): number {
    const free = this.#share?.room() ?? this.#most - this.#held;
    const size = this.#share?.size() ?? this.#most;
    if (free < size) this.#share?.wait();
    if (free <= 0 || !idle && free * 2 < size) return 0;
    return Math.max(1, Math.floor(free / this.#expected));
  }

  claimed(records: readonly StoredRecord[]): void {
    let [largest, sum] = [1, 0];
    for (const { fields } of records) {
      const size = sizeOf(fields);
      sum += size;
      if (size > largest) largest = size;
    }
    this.#held += sum;
    this.#share?.add(sum);
    // A large entry is remembered for some claims.
    this.#expected = this.#claims++ === 0 ? largest : Math.max(largest, this.#expected / 2);
  }

  /** An entry of this size is no longer held. */
  closed(size: number): void {
    this.#held -= size;
    this.#share?.add(-size);
  }

  /** The consumer has left. */
  leave(): void {
    this.#share?.leave();
  }
}
