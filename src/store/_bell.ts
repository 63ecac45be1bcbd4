// Timers take a signed 32-bit number of milliseconds: a longer one would fire at once.
const LONGEST_TIMEOUT = 2 ** 31 - 1;

/** Wakes waiting calls: all of them when it is rung, and each one when its timeout has passed or its signal aborts. */
export class Bell {
  #waiting = new Set<() => void>();

  /** Wakes all calls that wait now. */
  ring(): void {
    for (const wake of this.#waiting) wake();
  }

  /**
   * Resolves when the bell is rung, after `timeout` milliseconds, or when `signal` aborts. Without a timeout it waits for
   * ever. Never rejects.
   */
  wait(signal: AbortSignal | undefined, timeout = Infinity): Promise<void> {
    if (signal?.aborted || timeout <= 0) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = timeout === Infinity ? undefined : setTimeout(wake, Math.min(timeout, LONGEST_TIMEOUT));
      const waiting = this.#waiting;
      waiting.add(wake);
      signal?.addEventListener("abort", wake);
      function wake(): void {
        clearTimeout(timer);
        waiting.delete(wake);
        signal?.removeEventListener("abort", wake);
        resolve();
      }
    });
  }
}
