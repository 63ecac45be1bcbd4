// Timers take a signed 32-bit number of milliseconds: anything longer would fire at once.
const LONGEST_TIMEOUT = 2 ** 31 - 1;

/** Wakes whoever waits: all of them when it is rung, each one when its time is up or its signal aborts. */
export class Bell {
  #waiting = new Set<() => void>();

  /** Wakes all who wait now. */
  ring(): void {
    for (const wake of this.#waiting) wake();
  }

  /** Resolves when rung, after `timeout` milliseconds (never, by default), or when `signal` aborts; never rejects. */
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
