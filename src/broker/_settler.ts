import type { GroupMember, Outcome } from "../store/mod.ts";
import { backoff, RECONNECT } from "./_backoff.ts";
import type { Job } from "./_job.ts";
import { mayPass } from "./_passing.ts";
import { sleep } from "./_sleep.ts";

// Two more batches may fly once so many outcomes wait that a round trip at a time would hold up reading.
const DEEP = 250;
const MAX_BATCH = 500;

interface Entry {
  readonly job: Job;
  readonly outcome: Outcome;
  readonly told: (refused: boolean) => void;
}

/** What the settler tells of what happened to the outcomes. */
export interface SettlerEvents {
  /** The store has the outcome, or refused it because this consumer no longer has the delivery. */
  settled(job: Job, outcome: Outcome, refused: boolean): void;
  /** The store could not be reached; trying again after `delay`. */
  retrying(error: unknown, delay: number): void;
  /** The store refuses for good. */
  failed(error: unknown): void;
}

/** Writes outcomes to the store in few round trips: while one batch is under way, the next one gathers. */
export class Settler {
  #member: GroupMember;
  #events: SettlerEvents;
  #queue: Entry[] = [];
  #flying = 0;
  #scheduled = false;
  #stopped = new AbortController();
  #idle: (() => void)[] = [];

  constructor(member: GroupMember, events: SettlerEvents) {
    this.#member = member;
    this.#events = events;
  }

  /** How many outcomes the store does not have yet. */
  get backlog(): number {
    return this.#queue.length + this.#flying * MAX_BATCH;
  }

  /** Has the store know; `told` says when it does, and whether it refused. */
  push(job: Job, outcome: Outcome, told: (refused: boolean) => void): void {
    this.#queue.push({ job, outcome, told });
    if (this.#scheduled) return;
    this.#scheduled = true;
    queueMicrotask(() => {
      this.#scheduled = false;
      this.#flush();
    });
  }

  /** Resolves when the store has everything; rejects if `signal` aborted before. */
  async drain(signal: AbortSignal): Promise<void> {
    const giveUp = () => this.#stopped.abort(signal.reason);
    signal.addEventListener("abort", giveUp);
    if (signal.aborted) giveUp();
    while (this.#queue.length > 0 || this.#flying > 0) {
      if (this.#stopped.signal.aborted) break;
      await new Promise<void>((resolve) => {
        this.#idle.push(resolve);
        this.#stopped.signal.addEventListener("abort", () => resolve(), { once: true });
      });
    }
    signal.removeEventListener("abort", giveUp);
    const left = this.backlog;
    tellLost(this.#queue.splice(0));
    if (left > 0) throw new Error(`Cannot settle what was handled last: the store does not answer; it comes again`);
  }

  #flush(): void {
    while (this.#queue.length > 0 && !this.#stopped.signal.aborted) {
      if (this.#flying >= (this.#queue.length >= DEEP ? 3 : 1)) return;
      void this.#send(this.#queue.splice(0, MAX_BATCH));
    }
  }

  async #send(batch: readonly Entry[]): Promise<void> {
    this.#flying++;
    const outcomes = batch.map(({ outcome }) => outcome);
    let inDoubt = false;
    for (let attempt = 1;; attempt++) {
      try {
        const refused = await this.#member.settle(outcomes);
        const lost = refused.length === 0 ? undefined : new Set(refused);
        for (const { job, outcome, told } of batch) {
          // Of a batch that may have arrived before, what is refused may be what was settled the first time.
          const wasRefused = !inDoubt && lost !== undefined && lost.has(outcome.position);
          this.#events.settled(job, outcome, wasRefused);
          told(wasRefused);
        }
        break;
      } catch (error) {
        if (this.#stopped.signal.aborted || !mayPass(error)) {
          if (!this.#stopped.signal.aborted) this.#events.failed(error);
          tellLost(batch);
          break;
        }
        inDoubt ||= error.kind === "uncertain";
        const delay = backoff(RECONNECT, attempt);
        this.#events.retrying(error, delay);
        await sleep(delay, this.#stopped.signal);
      }
    }
    this.#flying--;
    this.#flush();
    if (this.#flying === 0) { for (const resolve of this.#idle.splice(0)) resolve(); }
  }
}

/** Nobody shall wait for ever for what the store will not be told any more. */
function tellLost(entries: readonly Entry[]): void {
  for (const { told } of entries) told(true);
}
