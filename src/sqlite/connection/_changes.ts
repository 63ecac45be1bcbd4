import { WakeUp } from "../../store/_wake_up.ts";

/**
 * Wakes readers and members that wait for a stream to change: at once after commits of this store, by polling after
 * commits of other connections.
 */
export class Changes {
  #topics = new Map<string, { readonly wakeUp: WakeUp; changes: number }>();
  #foreignChanges = 0;
  #waiting = 0;
  #timer: ReturnType<typeof setInterval> | undefined;
  #probe: () => number;
  #interval: number;
  #probed: number | undefined;

  /**
   * `probe` returns a different number after each commit of another connection. It is called every `interval`
   * milliseconds while anything waits.
   */
  constructor(probe: () => number, interval: number) {
    this.#probe = probe;
    this.#interval = interval;
  }

  #topic(stream: string): { readonly wakeUp: WakeUp; changes: number } {
    let topic = this.#topics.get(stream);
    if (topic === undefined) this.#topics.set(stream, topic = { wakeUp: new WakeUp(), changes: 0 });
    return topic;
  }

  /** Counts the changes of a stream. Take the count before you read, and pass it to `wait`: then no change is missed. */
  count(stream: string): number {
    return this.#topic(stream).changes + this.#foreignChanges;
  }

  /** Wakes everything that waits for this stream. To be called after a commit of this store. */
  wake(stream: string): void {
    const topic = this.#topic(stream);
    topic.changes++;
    topic.wakeUp.wake();
  }

  /** Wakes everything that waits, for any stream. */
  wakeAll(): void {
    this.#foreignChanges++;
    for (const { wakeUp } of this.#topics.values()) wakeUp.wake();
  }

  /**
   * Resolves when the count of the stream differs from `seen`, after `timeout` milliseconds, or when `signal` aborts.
   * Never rejects.
   */
  async wait(stream: string, seen: number, signal: AbortSignal | undefined, timeout = Infinity): Promise<void> {
    if (this.#waiting++ === 0) {
      this.#timer = setInterval(() => this.#poll(), this.#interval);
      this.#poll();
    }
    try {
      if (this.count(stream) === seen) await this.#topic(stream).wakeUp.wait(signal, timeout);
    } finally {
      if (--this.#waiting === 0) clearInterval(this.#timer);
    }
  }

  #poll(): void {
    try {
      const probed = this.#probe();
      if (probed === this.#probed) return;
      this.#probed = probed;
    } catch {
      // The readers and members that wake up meet the same failure, and reject with it.
    }
    this.wakeAll();
  }
}
