import { Fifo } from "../../../store/_fifo.ts";

/** Many timeouts of equal length with one timer: a timer for each event would cost more than to handle the event. */
export class Deadlines<T> {
  #timeout: number;
  #expired: (item: T) => void;
  #waiting = new Fifo<{ item: T; at: number }>();
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(timeout: number, expired: (item: T) => void) {
    this.#timeout = timeout;
    this.#expired = expired;
  }

  /** Calls `expired` with the item once the timeout has passed. Items cannot be removed: `expired` checks them. */
  add(item: T): void {
    if (this.#timeout === Infinity) return;
    this.#waiting.push({ item, at: performance.now() + this.#timeout });
    this.#arm();
  }

  #arm(): void {
    const next = this.#waiting.peek();
    if (next === undefined || this.#timer !== undefined) return;
    const wait = Math.min(Math.max(0, next.at - performance.now()), 2 ** 31 - 1);
    this.#timer = setTimeout(() => this.#check(), Math.ceil(wait));
  }

  #check(): void {
    this.#timer = undefined;
    const now = performance.now();
    for (let next = this.#waiting.peek(); next !== undefined && next.at <= now; next = this.#waiting.peek()) {
      this.#waiting.shift();
      this.#expired(next.item);
    }
    this.#arm();
  }

  clear(): void {
    clearTimeout(this.#timer);
    this.#waiting.drain();
  }
}
