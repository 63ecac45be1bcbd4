import type { GroupMember, Outcome } from "../../store/mod.ts";
import { backoff, RECONNECT } from "../_backoff.ts";
import type { Job } from "./_job.ts";
import { mayPass } from "../_passing.ts";
import { sleep } from "../_sleep.ts";

// One more batch may fly once so many outcomes wait that a round trip at a time would hold up reading.
const DEEP = 250;
const MAX_BATCH = 500;

/** What the settler tells of what happened to the outcomes. */
export interface SettlerEvents {
  /** The store has the outcome, or refused it because this consumer no longer has the delivery. */
  settled(job: Job, outcome: Outcome, refused: boolean): void;
  /** The delivery is over: the store has its outcome, refused it, or will not be told of it any more. */
  concluded(job: Job, outcome: Outcome, refused: boolean): void;
  /** The store has answered to so many outcomes. */
  wrote(count: number): void;
  /** The store could not be reached; trying again after `delay`. */
  retrying(error: unknown, delay: number): void;
  /** The store refuses for good. */
  failed(error: unknown): void;
}

/** Writes outcomes to the store in few round trips: while one batch is under way, the next one gathers. */
export class Settler {
  #member: GroupMember;
  #events: SettlerEvents;
  /** Outcomes that the store is to be told of, and whose they are. */
  #outcomes: Outcome[] = [];
  #jobs: Job[] = [];
  /** Who waits for the answer to an outcome: hardly anybody. */
  #told = new Map<Outcome, (refused: boolean) => void>();
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
    return this.#outcomes.length + this.#flying * MAX_BATCH;
  }

  /** Has the store know. With `told`, that is told in place of `concluded`: the delivery goes on. */
  push(job: Job, outcome: Outcome, told?: (refused: boolean) => void): void {
    this.#outcomes.push(outcome);
    this.#jobs.push(job);
    if (told !== undefined) this.#told.set(outcome, told);
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
    while (this.#outcomes.length > 0 || this.#flying > 0) {
      if (this.#stopped.signal.aborted) break;
      await new Promise<void>((resolve) => {
        this.#idle.push(resolve);
        this.#stopped.signal.addEventListener("abort", () => resolve(), { once: true });
      });
    }
    signal.removeEventListener("abort", giveUp);
    const left = this.backlog;
    this.#tellLost(this.#jobs.splice(0), this.#outcomes.splice(0));
    if (left > 0) throw new Error(`Cannot settle what was handled last: the store does not answer; it comes again`);
  }

  #flush(): void {
    while (this.#outcomes.length > 0 && !this.#stopped.signal.aborted) {
      if (this.#flying >= (this.#outcomes.length >= DEEP ? 2 : 1)) return;
      void this.#send(this.#outcomes.splice(0, MAX_BATCH), this.#jobs.splice(0, MAX_BATCH));
    }
  }

  async #send(outcomes: readonly Outcome[], jobs: readonly Job[]): Promise<void> {
    this.#flying++;
    let inDoubt = false;
    for (let attempt = 1;; attempt++) {
      try {
        const refused = await this.#member.settle(outcomes);
        const lost = refused.length === 0 ? undefined : new Set(refused);
        for (let nth = 0; nth < outcomes.length; nth++) {
          const outcome = outcomes[nth]!;
          // Of a batch that may have arrived before, what is refused may be what was settled the first time.
          const wasRefused = !inDoubt && lost !== undefined && lost.has(outcome.position);
          this.#events.settled(jobs[nth]!, outcome, wasRefused);
          this.#tell(jobs[nth]!, outcome, wasRefused);
        }
        this.#events.wrote(outcomes.length);
        break;
      } catch (error) {
        if (this.#stopped.signal.aborted || !mayPass(error)) {
          if (!this.#stopped.signal.aborted) this.#events.failed(error);
          this.#tellLost(jobs, outcomes);
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

  #tell(job: Job, outcome: Outcome, refused: boolean): void {
    const told = this.#told.size > 0 ? this.#told.get(outcome) : undefined;
    if (told === undefined) return this.#events.concluded(job, outcome, refused);
    this.#told.delete(outcome);
    told(refused);
  }

  /** Nobody shall wait for ever for what the store will not be told any more. */
  #tellLost(jobs: readonly Job[], outcomes: readonly Outcome[]): void {
    for (const [nth, outcome] of outcomes.entries()) this.#tell(jobs[nth]!, outcome, true);
  }
}
