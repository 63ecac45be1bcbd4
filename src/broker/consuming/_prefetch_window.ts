import type { Settings } from "./_consumer_settings.ts";

const LARGEST = 1_000;
// A full window handled within this many milliseconds makes it grow; four times as long makes it shrink.
const FAST = 50;

/**
 * How many deliveries a consumer holds at once: `prefetch`, if it is given. Otherwise it adapts: with a slow handler it
 * is small and leaves work to other consumers, with a fast one it grows to hide the round trips.
 */
export class PrefetchWindow {
  #size: number;
  #concurrency: number;
  #smallest: number;
  #largest: number;
  #done = 0;
  /** How long at least one job was open, in milliseconds, and since when one is open now. */
  #busy = 0;
  #since: number | undefined;

  constructor({ prefetch, concurrency, key }: Settings) {
    // With keys the window does not adapt: events behind a busy key must be held to reach events of other keys.
    const fixed = prefetch ?? (key === undefined ? undefined : Math.max(16 * concurrency, 128));
    this.#concurrency = concurrency;
    this.#smallest = fixed ?? Math.min(concurrency, LARGEST);
    this.#largest = fixed ?? Math.max(LARGEST, concurrency);
    this.#size = this.#smallest;
  }

  /**
   * How many entries to claim now, given the numbers of open jobs and of running handlers. None before half of the
   * window is free, since single claims are slow, unless handlers are idle because open jobs wait for their keys.
   */
  room(open: number, running: number): number {
    if (open >= this.#size || running >= this.#concurrency && open * 2 > this.#size) return 0;
    return this.#size - open;
  }

  claimed(): void {
    this.#since ??= performance.now();
  }

  /** One more job is done, and `open` are still open. */
  done(open: number): void {
    const full = ++this.#done >= this.#size;
    if (!full && open > 0) return;
    const now = performance.now();
    this.#busy += now - (this.#since ?? now);
    // Time without open jobs does not count: rare events say nothing about the handler.
    this.#since = open === 0 ? undefined : now;
    if (!full) return;
    if (this.#busy < FAST) this.#size = Math.min(this.#largest, this.#size * 2);
    else if (this.#busy > 4 * FAST) this.#size = Math.max(this.#smallest, this.#size >> 1);
    this.#done = 0;
    this.#busy = 0;
  }
}
