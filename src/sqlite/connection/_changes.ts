import { Bell } from "../../store/_bell.ts";

/** Wakes who waits for a stream to change: at once by this store's own commits, by polling for those of others. */
export class Changes {
  #topics = new Map<string, { readonly bell: Bell; changes: number }>();
  #changesOfOthers = 0;
  #waiting = 0;
  #timer: ReturnType<typeof setInterval> | undefined;
  #probe: () => number;
  #interval: number;
  #probed: number | undefined;

  /** `probe` returns another number whenever somebody else has committed; it is called every `interval` milliseconds. */
  constructor(probe: () => number, interval: number) {
    this.#probe = probe;
    this.#interval = interval;
  }

  #topic(stream: string): { readonly bell: Bell; changes: number } {
    let topic = this.#topics.get(stream);
    if (topic === undefined) this.#topics.set(stream, topic = { bell: new Bell(), changes: 0 });
    return topic;
  }

  /** Counts what happened to a stream: take it before looking, give it to `wait`, and no change is slept through. */
  count(stream: string): number {
    return this.#topic(stream).changes + this.#changesOfOthers;
  }

  /** Says that this store changed the stream. */
  ring(stream: string): void {
    const topic = this.#topic(stream);
    topic.changes++;
    topic.bell.ring();
  }

  /** Says that anything may have changed. */
  ringAll(): void {
    this.#changesOfOthers++;
    for (const { bell } of this.#topics.values()) bell.ring();
  }

  /** Resolves once the count is another than `seen`, after `timeout` milliseconds, or when `signal` aborts. */
  async wait(stream: string, seen: number, signal: AbortSignal | undefined, timeout = Infinity): Promise<void> {
    if (this.#waiting++ === 0) {
      this.#timer = setInterval(() => this.#poll(), this.#interval);
      this.#poll();
    }
    try {
      if (this.count(stream) === seen) await this.#topic(stream).bell.wait(signal, timeout);
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
      // Whoever is woken looks for himself, meets the same failure, and has a caller to tell.
    }
    this.ringAll();
  }
}
