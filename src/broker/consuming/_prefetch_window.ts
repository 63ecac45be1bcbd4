import type { Settings } from "./_consumer_settings.ts";

const LARGEST = 1_000;
// A window's worth handled within so many milliseconds makes it grow, one that took four times as long makes it shrink.
const FAST = 50;

/**
 * How many deliveries a consumer holds at once. A given `prefetch` is just that. Without one it adapts: a slow handler
 * leaves work to others of its group, a fast one is never kept waiting for a round trip.
 */
export class Window {
  #size: number;
  #concurrency: number;
  #smallest: number;
  #largest: number;
  #done = 0;
  /** How long something was open, and since when it is now. */
  #busy = 0;
  #since: number | undefined;

  constructor({ prefetch, concurrency, key }: Settings) {
    // Events behind a busy key must be held to find others: with keys the window does not adapt.
    const fixed = prefetch ?? (key === undefined ? undefined : Math.max(16 * concurrency, 128));
    this.#concurrency = concurrency;
    this.#smallest = fixed ?? Math.min(concurrency, LARGEST);
    this.#largest = fixed ?? Math.max(LARGEST, concurrency);
    this.#size = this.#smallest;
  }

  /**
   * How many more to ask for now, given how many are open and of how many handlers run. Not before half of the window
   * is free, since asking for one at a time is slow, unless handlers stand idle: what is open may wait for its key.
   */
  room(open: number, running: number): number {
    if (open >= this.#size || running >= this.#concurrency && open * 2 > this.#size) return 0;
    return this.#size - open;
  }

  claimed(): void {
    this.#since ??= performance.now();
  }

  /** One more is done, and so many are still open. */
  done(open: number): void {
    const full = ++this.#done >= this.#size;
    if (!full && open > 0) return;
    const now = performance.now();
    this.#busy += now - (this.#since ?? now);
    // While nothing is open the time does not count: that events are rare says nothing about the handler.
    this.#since = open === 0 ? undefined : now;
    if (!full) return;
    if (this.#busy < FAST) this.#size = Math.min(this.#largest, this.#size * 2);
    else if (this.#busy > 4 * FAST) this.#size = Math.max(this.#smallest, this.#size >> 1);
    this.#done = 0;
    this.#busy = 0;
  }
}
