import { show } from "../../../events/_check.ts";
import { thenable } from "../../../events/_foreign.ts";
import type { DomainEvent } from "../../../events/mod.ts";
import type { Outcome } from "../../../store/mod.ts";
import { handling } from "../../_causation.ts";
import type { Observers } from "../../observing/_observers.ts";
import type { Handler } from "../../delivery.ts";
import {
  LeaseLostError,
  type NewerVersionError,
  PermanentError,
  retryAfterOf,
  UndecodableError,
} from "../../errors.ts";
import { DeadLetterEvent, DeferredEvent, DeliveryEvent, HeldEvent, RetryEvent } from "../../lifecycle_events.ts";
import { MAX_KEY_LENGTH, type Settings } from "./_consumer_settings.ts";
import { OTHER_TYPE } from "../../codec/_stream_codec.ts";
import { Deadlines } from "./_deadlines.ts";
import { type Job, JobDelivery, type JobSource } from "./_job.ts";
import { cannotWait, expired, failed, refOf, undecodable, usedUp } from "./_outcomes.ts";
import { type JobScheduler, Scheduler, type SchedulerTasks } from "./_scheduler.ts";

/** How a handler ended: it succeeded, it failed, or it gave the delivery back uncounted. Delays are in milliseconds. */
export type HandlerEnd =
  | { readonly kind: "ack" }
  | { readonly kind: "fail"; readonly error: unknown; readonly delay?: number | undefined }
  | { readonly kind: "release"; readonly delay?: number | undefined }
  /** Its handler has to run again in its place, with the same attempt: an earlier event of its key failed. */
  | { readonly kind: "again" }
  /** It was given to no handler in time. */
  | { readonly kind: "expire" };

/** Tells the runner how the handler of this attempt ended. Only the first call for an attempt counts. */
export type OnHandlerEnd = (job: Job, attempt: number, end: HandlerEnd) => void;

/** Gives a job to its handler. */
export interface Deliver {
  (job: Job, onEnd: OnHandlerEnd): void;
  /** Makes the scheduler, if jobs do not start one by one. */
  readonly schedulerFor?: (tasks: SchedulerTasks) => JobScheduler;
}

/** The subscription of a runner. */
export interface JobRunnerOwner {
  dispatch(event: Event): void;
  /** Ends the subscription with this error of a consumer, unless only the consumer has to end. */
  failed(error: unknown, source: JobSource): void;
}

const ACK: HandlerEnd = { kind: "ack" };

/** Gives jobs to a handler function, whose success acknowledges, and whose error fails the attempt. */
export function callHandler(handler: Handler<DomainEvent>, observers: Observers): Deliver {
  // Apart, so that an event that nobody observes needs no closure.
  const observed = (job: Job, event: DomainEvent, delivery: JobDelivery<DomainEvent>): unknown => {
    const attempt = observers.handling(delivery, "handler");
    job.observe(attempt);
    return attempt.run(() => handling(job.call(event), handler, event, delivery));
  };
  return (job, onEnd) => {
    const { attempt } = job;
    const event = job.content as DomainEvent;
    let promise: PromiseLike<unknown> | undefined;
    try {
      const delivery = new JobDelivery<DomainEvent>(job);
      // No promise is made for a handler that returns none.
      promise = thenable(
        observers.active ? observed(job, event, delivery) : handling(job.call(event), handler, event, delivery),
      );
      promise?.then(() => onEnd(job, attempt, ACK), (error) => onEnd(job, attempt, { kind: "fail", error }));
    } catch (error) {
      return onEnd(job, attempt, { kind: "fail", error });
    }
    if (promise === undefined) onEnd(job, attempt, ACK);
  };
}

/** Runs the jobs of one subscription: schedules them, gives them to the handler, and settles each by how it ended. */
export class JobRunner {
  #settings: Settings;
  #owner: JobRunnerOwner;
  #deliver: Deliver;
  #scheduler: JobScheduler;
  #deadlines: Deadlines<{ job: Job; starts: number }>;
  #closing = false;
  #onEnd: OnHandlerEnd = (job, attempt, end) => this.#ended(job, attempt, end);

  constructor(settings: Settings, deliver: Deliver, owner: JobRunnerOwner) {
    this.#settings = settings;
    this.#deliver = deliver;
    this.#owner = owner;
    const tasks: SchedulerTasks = {
      run: (job) => this.#run(job),
      expire: (job) => this.#expireIfDue(job),
      isolate: (job) => this.#isolate(job),
      release: (job) => this.#release(job),
      renew: (job) => job.source.renewUntilDone().catch((error) => owner.failed(error, job.source)),
    };
    this.#scheduler = deliver.schedulerFor?.(tasks) ?? new Scheduler(settings.concurrency, tasks);
    this.#deadlines = new Deadlines(settings.handlerTimeout, ({ job, starts }) => this.#timedOut(job, starts));
  }

  /** How many handlers run. */
  get running(): number {
    return this.#scheduler.running;
  }

  /** Takes new jobs, in order. */
  admit(jobs: readonly Job[]): void {
    for (const job of jobs) {
      if (job.content === OTHER_TYPE) this.#settle(job, { kind: "skip", ...refOf(job) });
      else if (job.content instanceof UndecodableError) this.#settle(job, undecodable(job, job.content), job.content);
      else if (job.attempt > this.#settings.retry.maxAttempts) {
        const { outcome, error } = usedUp(job);
        this.#settle(job, outcome, error);
      } else if (this.#isEnding(job)) this.#release(job, job.retryDelay);
      // The schema or the decryption failed, not the entry: the next attempt may succeed.
      else if (job.content instanceof Error) this.#failBeforeStart(job, job.content);
      else if (this.#setKey(job)) this.#scheduler.admit(job);
    }
    this.#scheduler.pump();
  }

  /** Whether no handler of this job may start any more. */
  #isEnding(job: Job): boolean {
    return this.#closing || job.source.stopped;
  }

  #setKey(job: Job): boolean {
    const { key: keyOf } = job.source;
    if (keyOf === undefined || job.key !== undefined) return true;
    try {
      const key: unknown = keyOf(job.content as DomainEvent);
      if (typeof key !== "string") {
        throw new TypeError(`Cannot order ${job.eventType} by the key ${show(key)}: it must be a string`);
      }
      if (job.source.heldKeys !== undefined && key.length > MAX_KEY_LENGTH) {
        const why = `whenDead "hold-key" keeps keys of at most ${MAX_KEY_LENGTH}; use a shorter one, such as its hash`;
        throw new PermanentError(`Cannot order ${job.eventType} by a key of ${key.length} characters: ${why}`);
      }
      job.orderBy(key);
      return true;
    } catch (error) {
      this.#failBeforeStart(job, error);
      return false;
    }
  }

  /** Counts a failed attempt. One that is not due yet is made again, when it is due: the delivery comes once more. */
  #failBeforeStart(job: Job, error: unknown): void {
    if (job.retryDelay > 0) job.holdUntilDue(() => this.#release(job));
    else this.#fail(job, error);
  }

  #isolate(job: Job): Promise<boolean> {
    return new Promise((resolve) => {
      const onReply = (refused: boolean) => resolve(!refused && job.state === "starting");
      job.source.settle(job, { kind: "isolate", ...refOf(job) }, onReply);
    });
  }

  #run(job: Job): void {
    if (this.#settings.handlerTimeout !== Infinity) this.#deadlines.add({ job, starts: job.starts });
    this.#deliver(job, this.#onEnd);
  }

  #timedOut(job: Job, starts: number): void {
    if (job.state !== "running" || job.starts !== starts) return;
    const { handlerTimeout } = this.#settings;
    const error = new DOMException(`The handler took longer than ${handlerTimeout} ms`, "TimeoutError");
    job.abort(error);
    this.#ended(job, job.attempt, { kind: "fail", error });
  }

  #ended(job: Job, attempt: number, end: HandlerEnd): void {
    if (!job.handlerEnded(attempt)) return;
    if (job.state !== "running") {
      job.observed?.ended({ outcome: "lost" });
      this.#close(job);
    } else if (end.kind === "ack") {
      job.observed?.ended({ outcome: "ack" });
      job.source.breaker?.succeeded();
      this.#settle(job, { kind: "ack", position: job.position, fence: job.fence });
    } else if (end.kind === "release") {
      job.observed?.ended({ outcome: "release", delay: end.delay });
      this.#release(job, end.delay);
    } else if (end.kind === "again") this.#again(job);
    else if (end.kind === "expire") this.#expire(job);
    else this.#fail(job, end.error, end.delay);
    this.#scheduler.handlerEnded(job);
    job.source.updateRoom();
  }

  #fail(job: Job, error: unknown, delay?: number): void {
    const retryAfter = retryAfterOf(error);
    if (retryAfter !== undefined) return this.#throttle(job, error, retryAfter);
    const outcome = failed(job, error, this.#settings.retry, delay);
    job.observed?.ended({ outcome: outcome.kind, error, delay: outcome.kind === "retry" ? outcome.delay : undefined });
    const inOrder = job.key !== undefined && !(job.content instanceof Error);
    if (outcome.kind === "retry" && inOrder && !this.#isEnding(job)) {
      this.#hold(job, outcome.delay, error);
    } else this.#settle(job, outcome, error);
    // It may pause the group, which releases all jobs that do not run.
    job.source.breaker?.failed(error);
  }

  // All events of the group wait, so this one keeps its place among them.
  #throttle(job: Job, error: unknown, retryAfter: number): void {
    job.observed?.ended({ outcome: "release", error, delay: retryAfter });
    // Pausing releases all jobs that do not run, so this one first.
    this.#release(job);
    job.source.throttle(error, retryAfter);
  }

  #expireIfDue(job: Job): boolean {
    if (!job.isExpired) return false;
    this.#expire(job);
    return true;
  }

  /** The job keeps its place in the order of its key until it has ended. */
  #expire(job: Job): void {
    const { outcome, error } = expired(job, this.#settings.whenExpired);
    job.observed?.ended({ outcome: "release" });
    job.settle(outcome, error);
    this.#close(job);
  }

  #again(job: Job): void {
    job.observed?.ended({ outcome: "release" });
    if (this.#isEnding(job)) return this.#release(job);
    job.repeat();
    this.#scheduler.enqueue(job);
  }

  #release(job: Job, delay = 0): void {
    this.#settle(job, { kind: "release", delay, ...refOf(job) });
  }

  // We keep the delivery, so later events of its key wait; the store records the due time for recovery.
  #hold(job: Job, delay: number, error: unknown): void {
    const { attempt } = job;
    const onSettled = job.takeOnSettled();
    job.hold(delay, () => {
      this.#scheduler.enqueue(job);
      this.#scheduler.pump();
    });
    job.source.settle(job, { kind: "retry", attempt, delay, hold: true, ...refOf(job) }, (refused) => {
      this.#scheduler.endExclusive(job);
      if (!refused) {
        this.#owner.dispatch(new RetryEvent(job.eventType, job.position, attempt, delay, error));
      }
      onSettled?.(refused);
    });
  }

  #settle(job: Job, outcome: Outcome, error?: unknown): void {
    const isNew = job.state === "waiting";
    job.settle(outcome, error);
    // It died before it could run, so that it has no place in the order of its key yet.
    if (isNew && job.keepsKey) this.#scheduler.takePlace(job);
    this.#close(job);
  }

  wait(job: Job): void {
    job.source.heldKeys!.waiting(job.key!);
    this.#settle(job, { kind: "wait", key: job.key!, ...refOf(job) });
  }

  refuseToWait(job: Job): void {
    const { outcome, error } = cannotWait(job);
    this.#settle(job, outcome, error);
  }

  /** The job fills the window no longer, and the next of its key may start; not before its handler has ended. */
  #close(job: Job): void {
    if (job.close() && !job.keepsKey) this.#scheduler.leaveKey(job);
  }

  /** The store has replied to the job's outcome, or will not be asked any more. */
  concluded(job: Job, outcome: Outcome, refused: boolean): void {
    const keptKey = job.keepsKey;
    job.conclude();
    this.#scheduler.endExclusive(job);
    if (keptKey) this.#died(job, refused);
    if (outcome.kind === "wait") job.source.heldKeys!.answered(outcome.key);
    if (!refused) this.#report(job, outcome);
    job.notifySettled(refused);
  }

  /** The store has replied to a dead letter that was to hold its key. */
  #died(job: Job, refused: boolean): void {
    if (refused) {
      if (!job.busy) this.#scheduler.leaveKey(job);
      return;
    }
    job.source.heldKeys!.held(job);
    for (const later of this.#scheduler.holdKey(job)) this.wait(later);
  }

  #report({ eventType, position, error }: Job, outcome: Outcome): void {
    if (outcome.kind === "retry") {
      this.#owner.dispatch(new RetryEvent(eventType, position, outcome.attempt, outcome.delay, error));
    } else if (outcome.kind === "defer") {
      this.#owner.dispatch(new DeferredEvent(eventType, position, (error as NewerVersionError).version));
    } else if (outcome.kind === "expire") {
      this.#owner.dispatch(new DeliveryEvent("expired", eventType, position));
    } else if (outcome.kind === "wait") {
      this.#owner.dispatch(new HeldEvent(eventType, position, outcome.key));
    } else if (outcome.kind === "dead") {
      this.#owner.dispatch(new DeadLetterEvent(eventType, position, outcome.attempts, outcome.reason, error));
    }
  }

  /** These jobs of one consumer were lost, all at once, or the store refused their outcomes. */
  lost(jobs: readonly Job[]): void {
    const lost = jobs.filter(({ state }) => state !== "gone").map((job) => ({
      job,
      settling: job.state === "settling",
    }));
    // Mark every lost job first; otherwise freeing one could start another lost job with the same key.
    for (const { job } of lost) {
      const { eventType, source: { consumer } } = job;
      job.lose(new LeaseLostError(`Delivery of ${eventType} at ${job.position} was lost by ${consumer}`));
    }
    lost[0]?.job.source.noteLost(lost.map(({ job }) => job));
    for (const { job, settling } of lost) {
      this.#close(job);
      if (!settling) job.notifySettled(true);
      this.#owner.dispatch(new DeliveryEvent("leaselost", job.eventType, job.position));
    }
  }

  /** Starts jobs that may start now. */
  pump(): void {
    this.#scheduler.pump();
  }

  /** A job cannot start for this reason, which counts as a failed attempt. */
  cannotStart(job: Job, error: unknown): void {
    this.#fail(job, error);
  }

  /** Starts no handler from now on, and holds no retry. */
  stop(): void {
    this.#closing = true;
    this.#scheduler.stop();
  }

  /** Releases those of the jobs whose handler does not run and is not about to start. */
  releaseIdle(jobs: readonly Job[]): void {
    for (const job of jobs) {
      if (job.unsettled && !job.busy && job.state !== "starting") this.#release(job, job.retryDelay);
    }
  }

  /** Releases jobs that no handler has. None of them starts in the place of another one. */
  releaseWaiting(jobs: readonly Job[]): void {
    for (const job of jobs) job.settle({ kind: "release", delay: job.retryDelay, ...refOf(job) });
    for (const job of jobs) this.#close(job);
  }

  /** Aborts the handlers that still run, and releases all jobs. */
  releaseAll(jobs: readonly Job[], reason = "The subscription is closed"): void {
    if (this.#closing) this.#deadlines.clear();
    for (const job of jobs) {
      if (!job.unsettled) continue;
      if (job.busy) {
        job.abort(new DOMException(reason, "AbortError"));
        // The handler may never end.
        job.observed?.ended({ outcome: "release" });
      }
      this.#release(job, job.retryDelay);
    }
  }

  /** Resolves when no handler runs. */
  idle(): Promise<void> {
    return this.#scheduler.idle();
  }
}
