import { reasonOf } from "../../../events/_check.ts";
import type { GroupMember, Outcome } from "../../../store/mod.ts";
import { backoff, isTransient, RECONNECT, sleep } from "../../_store_retry.ts";
import type { SettlingObservation } from "../../observing/observer.ts";
import type { Job } from "./_job.ts";

// A second batch may be in flight while this many outcomes wait: otherwise claims would wait for round trips.
const DEEP = 250;
const MAX_BATCH = 500;

/** Called when a round trip of outcomes has ended. */
export type SettlingEnd = SettlingObservation["ended"];

/** Callbacks of a settler. */
export interface SettlerEvents {
  /** The store has replied: it has the outcome, or has refused it because this consumer no longer has the delivery. */
  settled(job: Job, outcome: Outcome, refused: boolean): void;
  /** The delivery has ended: the store has its outcome, has refused it, or will not be asked any more. */
  concluded(job: Job, outcome: Outcome, refused: boolean): void;
  /** These outcomes are about to be sent; the result is called with the store's reply or error. */
  sending(outcomes: readonly Outcome[], jobs: readonly Job[]): SettlingEnd | undefined;
  /** The store has replied to `count` outcomes, for entries of so many bytes. */
  wrote(count: number, bytes: number): void;
  /** The store could not be reached; the next try comes after `delay` milliseconds. */
  retrying(error: unknown, delay: number): void;
  /** The store failed for good. */
  failed(error: unknown): void;
}

/** Sends outcomes to the store in few round trips: while one batch is in flight, outcomes gather for the next one. */
export class Settler {
  #member: GroupMember;
  #events: SettlerEvents;
  /** Outcomes to be sent, and their jobs. */
  #outcomes: Outcome[] = [];
  #jobs: Job[] = [];
  /** Callbacks of outcomes after which the delivery goes on. Such outcomes are rare. */
  #onReply = new Map<Outcome, (refused: boolean) => void>();
  #inFlight = 0;
  /** The last error of the store; undefined after a reply. */
  #lastError: unknown;
  #scheduled = false;
  #stopped = new AbortController();
  #onIdle: (() => void)[] = [];

  constructor(member: GroupMember, events: SettlerEvents) {
    this.#member = member;
    this.#events = events;
  }

  /** How many outcomes have no reply yet. Batches in flight are counted as full. */
  get backlog(): number {
    return this.#outcomes.length + this.#inFlight * MAX_BATCH;
  }

  /** Sends an outcome. With `onReply`, the delivery goes on, and `concluded` is not called. */
  push(job: Job, outcome: Outcome, onReply?: (refused: boolean) => void): void {
    this.#outcomes.push(outcome);
    this.#jobs.push(job);
    if (onReply !== undefined) this.#onReply.set(outcome, onReply);
    if (this.#scheduled) return;
    this.#scheduled = true;
    queueMicrotask(() => {
      this.#scheduled = false;
      this.#flush();
    });
  }

  /** Resolves when the store has replied to all outcomes; rejects if `signal` aborts first. */
  async drain(signal: AbortSignal): Promise<void> {
    const giveUp = () => this.#stopped.abort(signal.reason);
    signal.addEventListener("abort", giveUp);
    if (signal.aborted) giveUp();
    while (this.#outcomes.length > 0 || this.#inFlight > 0) {
      if (this.#stopped.signal.aborted) break;
      await new Promise<void>((resolve) => {
        this.#onIdle.push(resolve);
        this.#stopped.signal.addEventListener("abort", () => resolve(), { once: true });
      });
    }
    signal.removeEventListener("abort", giveUp);
    const left = this.backlog;
    this.#abandon(this.#jobs.splice(0), this.#outcomes.splice(0));
    if (left > 0) {
      const why = this.#lastError === undefined ? "the store does not reply" : reasonOf(this.#lastError);
      throw new Error(`Cannot settle recently handled events: ${why}`, { cause: this.#lastError });
    }
  }

  #flush(): void {
    while (this.#outcomes.length > 0 && !this.#stopped.signal.aborted) {
      if (this.#inFlight >= (this.#outcomes.length >= DEEP ? 2 : 1)) return;
      void this.#send(this.#outcomes.splice(0, MAX_BATCH), this.#jobs.splice(0, MAX_BATCH));
    }
  }

  async #send(outcomes: readonly Outcome[], jobs: readonly Job[]): Promise<void> {
    this.#inFlight++;
    let inDoubt = false;
    const ended = this.#events.sending(outcomes, jobs);
    for (let attempt = 1;; attempt++) {
      try {
        const refused = await this.#member.settle(outcomes);
        this.#lastError = undefined;
        const lost = refused.length === 0 ? undefined : new Set(refused);
        for (let nth = 0; nth < outcomes.length; nth++) {
          const outcome = outcomes[nth]!;
          // If the batch was sent twice, the store may refuse an outcome because it accepted it the first time.
          const wasRefused = !inDoubt && lost !== undefined && lost.has(outcome.position);
          this.#events.settled(jobs[nth]!, outcome, wasRefused);
          this.#tell(jobs[nth]!, outcome, wasRefused);
        }
        ended?.({ refused: inDoubt ? [] : refused });
        this.#events.wrote(outcomes.length, jobs.reduce((sum, { size }) => sum + size, 0));
        break;
      } catch (error) {
        if (this.#stopped.signal.aborted || !isTransient(error)) {
          ended?.({ error, refused: [] });
          if (!this.#stopped.signal.aborted) this.#events.failed(error);
          this.#abandon(jobs, outcomes);
          break;
        }
        this.#lastError = error;
        inDoubt ||= error.kind === "uncertain";
        const delay = backoff(RECONNECT, attempt);
        this.#events.retrying(error, delay);
        await sleep(delay, this.#stopped.signal);
      }
    }
    this.#inFlight--;
    this.#flush();
    if (this.#inFlight === 0) { for (const resolve of this.#onIdle.splice(0)) resolve(); }
  }

  #tell(job: Job, outcome: Outcome, refused: boolean): void {
    const onReply = this.#onReply.size > 0 ? this.#onReply.get(outcome) : undefined;
    if (onReply === undefined) return this.#events.concluded(job, outcome, refused);
    this.#onReply.delete(outcome);
    onReply(refused);
  }

  /** Concludes jobs whose outcomes will not be sent any more. */
  #abandon(jobs: readonly Job[], outcomes: readonly Outcome[]): void {
    for (const [nth, outcome] of outcomes.entries()) this.#tell(jobs[nth]!, outcome, true);
  }
}
