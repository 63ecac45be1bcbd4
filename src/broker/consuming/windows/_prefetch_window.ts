import { LARGEST_WINDOW as LARGEST, type Settings } from "../jobs/_consumer_settings.ts";
import type { Share } from "./_shared_window.ts";

// A full window handled within this many milliseconds makes it grow; four times as long makes it shrink.
const FAST = 50;

/**
 * How many deliveries a consumer holds at once: `prefetch`, if it is given. Otherwise the window adapts. With a slow handler
 * it is small and leaves events to other consumers; with a fast handler it is large and hides round trips.
 */
export class PrefetchWindow {
  #size: number;
  #concurrency: number;
  #smallest: number;
  #largest: number;
  #done = 0;
  /** For how long at least one job was open, in milliseconds, and since when a job is open now. */
  #busy = 0;
  #since: number | undefined;
  #share: Share | undefined;

  /** @param share Given if it reads one of several partitions. */
  constructor({ prefetch, concurrency, key }: Settings, share?: Share) {
    this.#share = share;
    // With keys the window does not adapt: to reach events of other keys, events behind a busy key must be held, too.
    const fixed = prefetch ?? (key === undefined ? undefined : Math.max(16 * concurrency, 128));
    this.#concurrency = concurrency;
    this.#smallest = fixed ?? Math.min(concurrency, LARGEST);
    this.#largest = fixed ?? Math.max(LARGEST, concurrency);
    this.#size = this.#smallest;
  }

  /**
   * How many entries to claim now, with this many open jobs and running handlers. None until half of the window is free,
   * since claims of few entries are slow, unless handlers are idle because open jobs wait for their keys.
   */
  room(open: number, running: number): number {
    if (open >= this.#size || running >= this.#concurrency && open * 2 > this.#size) return 0;
    const room = this.#size - open;
    if (this.#share === undefined) return room;
    const shared = this.#share.room();
    const least = running >= this.#concurrency ? this.#share.size() / 4 : 1;
    if (shared < room || shared < least) this.#share.wait();
    return shared < least ? 0 : Math.min(room, shared);
  }

  /** So many entries were claimed. */
  claimed(count = 1): void {
    this.#share?.add(count);
    this.#since ??= performance.now();
  }

  /** One more job has ended, and `open` jobs are still open. */
  done(open: number): void {
    this.#share?.add(-1);
    const full = ++this.#done >= this.#size;
    if (!full && open > 0) return;
    const now = performance.now();
    this.#busy += now - (this.#since ?? now);
    // Time without open jobs does not count: rare events tell nothing about the speed of the handler.
    this.#since = open === 0 ? undefined : now;
    if (!full) return;
    if (this.#busy < FAST) this.#size = Math.min(this.#largest, this.#size * 2);
    else if (this.#busy > 4 * FAST) this.#size = Math.max(this.#smallest, this.#size >> 1);
    this.#done = 0;
    this.#busy = 0;
  }

  /** The consumer has left. */
  leave(): void {
    this.#share?.leave();
  }
}
