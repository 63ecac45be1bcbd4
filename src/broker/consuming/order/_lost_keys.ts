import type { DomainEvent } from "../../../events/mod.ts";
import { comparePositions, type Position } from "../../../store/mod.ts";
import type { Job } from "../jobs/_job.ts";

/** The part of a stream consumer that a {@linkcode LostKeys} uses. */
export interface LostKeysOptions {
  /** Returns the key of an event. */
  readonly key: (event: DomainEvent) => string;
  /** The jobs of the deliveries that this consumer has. */
  jobs(): readonly Job[];
  /** Releases jobs that no handler has, all at once. */
  release(jobs: readonly Job[]): void;
}

/**
 * Keeps the order of a key of which a delivery was lost. The lost delivery may come again: later ones of its key go back to the
 * group, too, so that the store gives all of them in order. These are the deliveries that this consumer has already, and those
 * of a claim that was sent before the loss was known. The next claim is sent after the store has replied to the releases.
 */
export class LostKeys {
  #options: LostKeysOptions;
  /**
   * The first lost position of each key, since the last claim was sent. The key undefined stands for all keys: the lost event
   * was still to be decoded.
   */
  #lost = new Map<string | undefined, Position>();
  #releasing: Promise<unknown>[] = [];

  constructor(options: LostKeysOptions) {
    this.#options = options;
  }

  /** Whether a delivery was lost since the last claim was sent. */
  get any(): boolean {
    return this.#lost.size > 0;
  }

  /** These deliveries were lost, all at once. Called before any other job of their keys may start. */
  note(lost: readonly Job[]): void {
    for (const job of lost) {
      const key = this.#keyOf(job);
      // It cannot be decoded, so that it has no place in the order of any key.
      if (key === undefined && job.content !== undefined) continue;
      const known = this.#lost.get(key);
      if (known === undefined || comparePositions(job.position, known) < 0) this.#lost.set(key, job.position);
    }
    this.#release(this.#options.jobs().filter((job) => this.#comesLater(job)));
  }

  /** Returns those new jobs that may start, and releases all others. */
  pass(jobs: readonly Job[]): readonly Job[] {
    if (!this.any) return jobs;
    const { later = [], others = [] } = Object.groupBy(jobs, (job) => this.#comesLater(job) ? "later" : "others");
    this.#release(later);
    return others;
  }

  /** Resolves when the next claim may be sent: the store has replied to all releases. */
  async settled(): Promise<void> {
    while (this.#releasing.length > 0) await Promise.all(this.#releasing.splice(0));
    this.#lost.clear();
  }

  #release(jobs: readonly Job[]): void {
    if (jobs.length === 0) return;
    this.#releasing.push(...jobs.map((job) => new Promise((resolve) => job.onSettled(resolve))));
    this.#options.release(jobs);
  }

  #comesLater(job: Job): boolean {
    if (job.state !== "waiting" && job.state !== "decoding") return false;
    // The key of an event that is still to be decoded may be any.
    const lost = job.state === "decoding"
      ? [...this.#lost.values()]
      : [this.#lost.get(undefined), this.#lost.get(this.#keyOf(job))];
    return lost.some((position) => position !== undefined && comparePositions(job.position, position) > 0);
  }

  /** Undefined if the event is still to be decoded, cannot be decoded, or has no key. */
  #keyOf({ key, content }: Job): string | undefined {
    if (key !== undefined) return key;
    if (typeof content !== "object" || content instanceof Error) return undefined;
    try {
      return this.#options.key(content);
    } catch {
      // The runner calls the function once more, and reports the error.
      return undefined;
    }
  }
}
