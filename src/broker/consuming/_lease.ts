import type { GroupMember } from "../../store/mod.ts";
import { backoff, isTransient, RECONNECT, sleep, untilReached } from "../_store_retry.ts";
import type { HeldJobs } from "./jobs/_held_jobs.ts";
import type { Job } from "./jobs/_job.ts";

/** How a lease is kept, and for whom. */
export interface LeaseOptions {
  readonly member: GroupMember;
  /** How long the lease lasts after a renewal, in milliseconds. */
  readonly duration: number;
  /** When the consumer joined its group, in milliseconds since the epoch. */
  readonly joinedAt: number;
  readonly held: HeldJobs;
  /** Whether the consumer is stalled, as the store shows it to operators. */
  stalled(): boolean;
  /** These jobs were lost, all at once. */
  lost(jobs: readonly Job[]): void;
  /** The store could not be reached; the next try comes after `delay` milliseconds. */
  retrying(error: unknown, delay: number): void;
  /** The store failed for good. */
  failed(error: unknown): void;
}

/** Keeps the lease of one consumer. Each renewal tells which deliveries the consumer has lost. */
export class Lease {
  #options: LeaseOptions;
  #renewedAt: number;
  #stopped = new AbortController();
  #keeping: Promise<void> | undefined;

  constructor(options: LeaseOptions) {
    this.#options = options;
    this.#renewedAt = options.joinedAt;
  }

  /** When the last renewal that succeeded was sent, in milliseconds since the epoch. */
  get renewedAt(): number {
    return this.#renewedAt;
  }

  /** False when the lease may have expired. */
  get fresh(): boolean {
    return Date.now() - this.#renewedAt < this.#options.duration;
  }

  /** Renews the lease in time, until it is stopped. */
  start(): void {
    this.#keeping = this.#keep().catch((error) => this.#options.failed(error));
  }

  async #keep(): Promise<void> {
    const { signal } = this.#stopped;
    const { duration } = this.#options;
    let failures = 0;
    while (true) {
      await sleep(failures === 0 ? duration / 3 : Math.min(duration / 10, backoff(RECONNECT, failures)), signal);
      if (signal.aborted) return;
      try {
        await this.renew();
        failures = 0;
      } catch (error) {
        if (!isTransient(error)) throw error;
        failures++;
      }
    }
  }

  /** Renews the lease once. */
  async renew(): Promise<void> {
    const { member, held, stalled } = this.#options;
    const askedAt = Date.now();
    this.#lose(held.superseded());
    const jobs = held.all().filter(({ unsettled }) => unsettled);
    const lost = await member.renew(jobs, { stalled: stalled() });
    this.#renewedAt = askedAt;
    if (lost.length === 0) return;
    const positions = new Set(lost);
    this.#lose(jobs.filter(({ position, unsettled }) => unsettled && positions.has(position)));
  }

  /** Renews the lease now, without a caller that waits: if that fails, the next renewal does the same. */
  renewNow(): void {
    this.renew().catch((error) => this.#options.retrying(error, 0));
  }

  /** Renews the lease, and tries again until the store replies or the lease is stopped. */
  async renewUntilDone(): Promise<void> {
    await untilReached(() => this.renew(), this.#stopped.signal, this.#options.retrying);
  }

  #lose(jobs: readonly Job[]): void {
    const { held, lost } = this.#options;
    for (const job of jobs) held.remove(job);
    lost(jobs.filter(({ state }) => state !== "settling"));
  }

  /** Renews no more. */
  async stop(): Promise<void> {
    this.#stopped.abort();
    await this.#keeping;
  }
}
