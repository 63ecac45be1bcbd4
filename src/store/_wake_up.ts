// Timers take a signed 32-bit number of milliseconds: a longer one would fire at once.
const LONGEST_TIMEOUT = 2 ** 31 - 1;

/** Wakes waiting calls: all of them by {@linkcode wake}, and each one when its timeout has passed or its signal aborts. */
export class WakeUp {
  #waiting = new Set<() => void>();

  /** Wakes all calls that wait now. */
  wake(): void {
    for (const wake of this.#waiting) wake();
  }

  /**
   * Resolves when {@linkcode wake} is called, after `timeout` milliseconds, or when `signal` aborts. Never rejects.
   *
   * @param timeout In milliseconds. By default there is none.
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
