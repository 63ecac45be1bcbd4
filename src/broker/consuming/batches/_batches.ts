import { thenable } from "../../../events/_foreign.ts";
import type { DomainEvent } from "../../../events/mod.ts";
import { comparePositions } from "../../../store/mod.ts";
import type { BatchHandler } from "../../batch.ts";
import { handling } from "../../_causation.ts";
import type { Observers } from "../../observing/_observers.ts";
import type { BatchSettings } from "../jobs/_consumer_settings.ts";
import type { Job } from "../jobs/_job.ts";
import type { Deliver, OnHandlerEnd } from "../jobs/_job_runner.ts";
import { RunningCount } from "../jobs/_running_count.ts";
import type { JobScheduler, SchedulerTasks } from "../jobs/_scheduler.ts";
import { RunningBatch } from "./_running_batch.ts";

/** Gives jobs to the handler of a subscription in batches. */
export function deliverBatches(
  handler: BatchHandler<DomainEvent>,
  settings: BatchSettings,
  observers: Observers,
): Deliver {
  const batches = new Batches(handler, settings, observers);
  const deliver = (_job: Job, onEnd: OnHandlerEnd) => void (batches.onEnd = onEnd);
  return Object.assign(deliver, { schedulerFor: (tasks: SchedulerTasks) => batches.use(tasks) });
}

/** The jobs that may start together. */
interface Gathered {
  readonly jobs: Job[];
  /** Whether there is no room for another one. */
  readonly full: boolean;
  /** A job that has to run exclusively, before all others. */
  readonly suspect: Job | undefined;
}

/**
 * Starts jobs in batches: as soon as there are enough for a full one, or the first one has waited for long enough. A batch
 * may have several events of a key, in order; while it runs, no other one has events of that key. A suspect job (see
 * {@linkcode Job.suspect}) is a batch of its own, and runs exclusively.
 */
class Batches implements JobScheduler {
  onEnd: OnHandlerEnd = () => {};
  #handler: BatchHandler<DomainEvent>;
  #settings: BatchSettings;
  #observers: Observers;
  #tasks!: SchedulerTasks;
  /** Jobs that wait, run, or hold the place of their key, in order. */
  #line: Job[] = [];
  #batchOf = new WeakMap<Job, RunningBatch<DomainEvent>>();
  #running = new RunningCount();
  /** Since when jobs gather, by `performance.now()`. */
  #since: number | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #exclusive: Job | undefined;
  #renewing = false;
  #pumping = false;
  #pumpScheduled = false;
  #stopped = false;

  constructor(handler: BatchHandler<DomainEvent>, settings: BatchSettings, observers: Observers) {
    this.#handler = handler;
    this.#settings = settings;
    this.#observers = observers;
  }

  use(tasks: SchedulerTasks): JobScheduler {
    this.#tasks = tasks;
    return this;
  }

  get running(): number {
    return this.#running.count;
  }

  admit(job: Job): void {
    this.#line.push(job);
    this.#since ??= performance.now();
  }

  takePlace(job: Job): void {
    this.#line.push(job);
  }

  // It has kept its place in the line.
  enqueue(): void {}

  holdKey(job: Job): Job[] {
    const later = this.#line.filter((other) => {
      if (other.key !== job.key || other.source !== job.source || other.keepsKey) return false;
      return (other.state === "waiting" || other.state === "holding") &&
        comparePositions(other.position, job.position) > 0;
    });
    this.#pumpSoon();
    return later;
  }

  leaveKey(): void {
    this.#pumpSoon();
  }

  // Once for all jobs of a batch: each call looks through the line.
  #pumpSoon(): void {
    if (this.#pumpScheduled || this.#stopped) return;
    this.#pumpScheduled = true;
    queueMicrotask(() => {
      this.#pumpScheduled = false;
      this.pump();
    });
  }

  pump(): void {
    if (this.#pumping) return;
    this.#pumping = true;
    try {
      while (this.#startNext());
    } finally {
      this.#pumping = false;
    }
  }

  #startNext(): boolean {
    if (this.#stopped || this.#exclusive !== undefined || this.#renewing) return false;
    if (this.#running.count >= this.#settings.concurrency) return false;
    const { jobs, full, suspect } = this.#gather();
    if (suspect !== undefined) {
      if (this.#running.count === 0 && this.#isFresh([suspect])) void this.#startExclusively(suspect);
      return false;
    }
    if (jobs.length === 0) {
      this.#since = undefined;
      return false;
    }
    this.#since ??= performance.now();
    const left = this.#since + this.#settings.wait - performance.now();
    if (!full && left > 0) {
      this.#timer ??= setTimeout(() => {
        this.#timer = undefined;
        this.pump();
      }, Math.ceil(left));
      return false;
    }
    if (!this.#isFresh(jobs)) return false;
    this.#start(jobs);
    return true;
  }

  /** The next jobs of the line that may start, at most as many as a batch may have. */
  #gather(): Gathered {
    const { size, bytes } = this.#settings;
    const blocked = new Set<string>();
    const jobs: Job[] = [];
    let room = bytes;
    for (const job of this.#line) {
      const { key } = job;
      if (job.state === "waiting" && job.retryDelay > 0) job.holdUntilDue(() => this.pump());
      if (job.state !== "waiting") {
        if (key !== undefined && hasPlace(job)) blocked.add(key);
        continue;
      }
      if (key !== undefined && blocked.has(key) || job.source.draining) continue;
      if (this.#tasks.expire(job)) continue;
      if (job.suspect) return { jobs, full: false, suspect: job };
      room -= job.size;
      if (jobs.length === size || room < 0 && jobs.length > 0) return { jobs, full: true, suspect: undefined };
      jobs.push(job);
    }
    return { jobs, full: jobs.length === size || room <= 0, suspect: undefined };
  }

  /** Whether no lease may have expired. Otherwise it is renewed first. */
  #isFresh(jobs: readonly Job[]): boolean {
    const stale = jobs.find(({ source }) => !source.fresh);
    if (stale === undefined) return true;
    this.#renewing = true;
    this.#tasks.renew(stale).finally(() => {
      this.#renewing = false;
      this.pump();
    });
    return false;
  }

  async #startExclusively(job: Job): Promise<void> {
    this.#exclusive = job;
    job.startExclusively();
    if (await this.#tasks.isolate(job) && !this.#stopped && !job.source.draining) this.#start([job]);
    else this.endExclusive(job);
  }

  #start(jobs: readonly Job[]): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#running.started();
    for (const job of jobs) {
      job.start();
      this.#tasks.run(job);
    }
    this.#sweep();
    this.#since = this.#line.some(({ state }) => state === "waiting") ? performance.now() : undefined;
    const batch = new RunningBatch<DomainEvent>(jobs, (...end) => this.onEnd(...end), () => this.#over());
    for (const job of jobs) this.#batchOf.set(job, batch);
    this.#call(jobs, batch);
  }

  #call(jobs: readonly Job[], batch: RunningBatch<DomainEvent>): void {
    let promise: PromiseLike<unknown> | undefined;
    try {
      if (this.#observers.active) {
        for (const [nth, job] of jobs.entries()) {
          job.observe(this.#observers.handling(batch.deliveries[nth]!, "batch"));
        }
      }
      // Of several events, none is the cause of what the handler publishes.
      const event = jobs.length === 1 ? batch.events[0] : undefined;
      promise = thenable(handling({ event, delivery: batch, outer: undefined }, this.#handler, batch));
    } catch (error) {
      return batch.failed(error);
    }
    if (promise === undefined) batch.succeeded();
    else promise.then(() => batch.succeeded(), (error) => batch.failed(error));
  }

  handlerEnded(job: Job): void {
    const batch = this.#batchOf.get(job);
    if (batch?.busy && !batch.telling) batch.timedOut(job.signal.reason);
  }

  #over(): void {
    this.#sweep();
    this.#running.ended();
    this.pump();
  }

  /** Forgets jobs that have ended. */
  #sweep(): void {
    this.#line = this.#line.filter((job) => job.state === "waiting" || hasPlace(job));
  }

  endExclusive(job: Job): void {
    if (this.#exclusive !== job) return;
    this.#exclusive = undefined;
    this.pump();
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  idle(): Promise<void> {
    return this.#running.idle();
  }
}

/** Whether later jobs of its key have to wait for it: its handler runs or will run, or its dead letter is being written. */
function hasPlace(job: Job): boolean {
  return job.busy || job.keepsKey || job.state === "starting" || job.state === "holding";
}
