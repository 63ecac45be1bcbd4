import { reserve } from "../store/_gcra.ts";
import type { Limiter, RateLimit, Taken, TakeOptions } from "../store/mod.ts";

// With so many keys, those whose limits are unused are removed.
const MANY = 1_000;

/** A limiter in memory. */
export class MemoryLimiter implements Limiter {
  #now: () => number;
  #next = new Map<string, number>();
  #many = MANY;

  constructor(now: () => number) {
    this.#now = now;
  }

  take(rate: RateLimit, options: TakeOptions): Promise<Taken> {
    const now = this.#now();
    const { key = "" } = options;
    const { tat, ...taken } = reserve(this.#next.get(key) ?? 0, now, rate, options);
    this.#next.set(key, tat);
    if (this.#next.size > this.#many) {
      for (const [other, next] of this.#next) if (next <= now) this.#next.delete(other);
      this.#many = Math.max(MANY, 2 * this.#next.size);
    }
    return Promise.resolve(taken);
  }
}
