import type { DomainEvent } from "../../events/mod.ts";
import { type Healed, type Outcome, type Position, type RemovedRange, StoreError } from "../../store/mod.ts";
import { handling } from "../_causation.ts";
import { Deadlines } from "./_deadlines.ts";
import { type Job, JobDelivery } from "./_job.ts";
import { Listeners } from "../_listeners.ts";
import { type Ending, failed, named, undecodable, usedUp } from "./_outcomes.ts";
import { Scheduler } from "./_scheduler.ts";
import type { Settings } from "./_consumer_settings.ts";
import { sleep } from "../_sleep.ts";
import type { StreamConsumer, StreamConsumerOwner } from "./_stream_consumer.ts";
import { show } from "../../events/_check.ts";
import type { Handler } from "../delivery.ts";
import { LeaseLostError, UndecodableError } from "../errors.ts";
import {
  DeadLetterEvent,
  DeferredEvent,
  DeliveryEvent,
  EntriesLostEvent,
  GroupLostEvent,
  ReconnectEvent,
  RetryEvent,
  type SubscriptionEventMap,
} from "../lifecycle_events.ts";
import type { Subscription } from "../subscription.ts";
import type { EventListenerOf } from "../types.ts";

/** What a handler throws to hand its delivery back, uncounted. */
export const RELEASE: unique symbol = Symbol("release");

// How long closing waits for a store that does not answer: then the lease has to run out.
const SETTLE_TIMEOUT = 5_000;

/** What a subscription needs of its broker. */
export interface SubscriptionOwner {
  /** Takes an error that nobody listens to on the subscription. */
  report(error: unknown): void;
  /** So many events of this type were settled. */
  consumed(eventType: string, count: number): void;
  /** The subscription is over. */
  ended(subscription: GroupSubscription): void;
}

/** A handler at work in a group, over one or more streams. */
export class GroupSubscription extends EventTarget implements Subscription, StreamConsumerOwner {
  readonly settings: Settings;
  readonly closed: Promise<void>;
  #listeners = new Listeners({
    attach: (type, listener, options) => super.addEventListener(type, listener, options),
    detach: (type, listener, options) => super.removeEventListener(type, listener, options),
    dispatch: (event) => this.dispatchEvent(event),
    unheard: (error) => this.#owner.report(error),
  });
  #owner: SubscriptionOwner;
  #handler: Handler<DomainEvent>;
  #sources: StreamConsumer[] = [];
  #scheduler: Scheduler;
  #deadlines: Deadlines<{ job: Job; attempt: number }>;
  /** What was said of groups that are gone. */
  #deletions = new Set<string>();
  #timers = new Map<Job, ReturnType<typeof setTimeout>>();
  #closing: Promise<void> | undefined;
  #stop = new AbortController();
  #resolveClosed!: () => void;
  #rejectClosed!: (error: unknown) => void;
  #abort = () => void this.close();

  constructor(owner: SubscriptionOwner, settings: Settings, handler: Handler<DomainEvent>) {
    super();
    this.#owner = owner;
    this.settings = settings;
    this.#handler = handler;
    this.#scheduler = new Scheduler(settings.concurrency, {
      run: (job) => this.#run(job),
      isolate: (job) => this.#isolate(job),
      renew: (job) => job.source.renewAtLast().catch((error) => this.failed(error)),
    });
    this.#deadlines = new Deadlines(settings.handlerTimeout, ({ job, attempt }) => this.#timedOut(job, attempt));
    this.closed = new Promise((resolve, reject) => [this.#resolveClosed, this.#rejectClosed] = [resolve, reject]);
    this.closed.catch(() => {});
  }

  get group(): string {
    return this.settings.group;
  }

  /** Aborts when it begins to close. */
  get closing(): AbortSignal {
    return this.#stop.signal;
  }

  /** Begins to deliver from these consumers. */
  start(sources: readonly StreamConsumer[]): void {
    this.#sources = [...sources];
    for (const source of sources) source.start();
    this.settings.signal?.addEventListener("abort", this.#abort);
    if (this.settings.signal?.aborted) this.#abort();
  }

  admit(jobs: readonly Job[]): void {
    for (const job of jobs) {
      if (job.content instanceof UndecodableError) this.#end(job, undecodable(job, job.content));
      else if (job.attempt > this.settings.retry.maxAttempts) this.#end(job, usedUp(job));
      else if (this.#closing !== undefined) this.#release(job);
      // For now: whether its entry is an event shows another time.
      else if (job.content instanceof Error) this.#fail(job, job.content);
      else if (this.#setKey(job)) this.#scheduler.admit(job);
    }
    this.#scheduler.pump();
  }

  #setKey(job: Job): boolean {
    const { key } = this.settings;
    if (key === undefined) return true;
    try {
      job.key = key(job.content as DomainEvent);
      if (typeof job.key === "string") return true;
      throw new TypeError(`Cannot order ${job.source.eventType} by the key ${show(job.key)}: it must be a string`);
    } catch (error) {
      job.key = undefined;
      this.#fail(job, error);
      return false;
    }
  }

  #isolate(job: Job): Promise<boolean> {
    return new Promise((resolve) => {
      const told = (refused: boolean) => resolve(!refused && job.state === "starting");
      job.source.settle(job, { kind: "isolate", ...named(job) }, told);
    });
  }

  #run(job: Job): void {
    const { attempt } = job;
    if (this.settings.handlerTimeout !== Infinity) this.#deadlines.add({ job, attempt });
    let result: unknown;
    try {
      const event = job.content as DomainEvent;
      result = handling(event, this.#handler, event, new JobDelivery(job));
    } catch (error) {
      return this.#ended(job, attempt, { error });
    }
    // A handler that returns at once costs no promise.
    if (typeof (result as PromiseLike<unknown> | undefined)?.then !== "function") return this.#ended(job, attempt);
    (result as PromiseLike<unknown>).then(
      () => this.#ended(job, attempt),
      (error) => this.#ended(job, attempt, { error }),
    );
  }

  #ended(job: Job, attempt: number, failure?: { readonly error: unknown }): void {
    // A handler that outlived its timeout gave its slot back then, and what it says now counts nothing.
    if (!job.busy || job.attempt !== attempt) return;
    job.busy = false;
    if (job.state === "running") this.#conclude(job, failure);
    else this.#done(job);
    this.#scheduler.ended(job);
  }

  #timedOut(job: Job, attempt: number): void {
    if (!job.busy || job.attempt !== attempt || job.state !== "running") return;
    const error = new DOMException(`The handler took longer than ${this.settings.handlerTimeout} ms`, "TimeoutError");
    job.abort(error);
    job.busy = false;
    this.#conclude(job, { error });
    this.#scheduler.ended(job);
  }

  #conclude(job: Job, failure: { readonly error: unknown } | undefined): void {
    if (failure === undefined) {
      job.content = undefined;
      this.#finish(job, { kind: "ack", position: job.position, fence: job.fence });
    } else if (failure.error === RELEASE) this.#release(job);
    else this.#fail(job, failure.error);
  }

  #fail(job: Job, error: unknown): void {
    const ending = failed(job, error, this.settings.retry);
    const waits = ending.outcome.kind === "retry" && job.key !== undefined && this.#closing === undefined;
    if (waits) this.#hold(job, ending.outcome.delay, error);
    else this.#finish(job, ending.outcome, error);
  }

  #release(job: Job, delay = 0): void {
    this.#finish(job, { kind: "release", delay, ...named(job) });
  }

  // The line of its key waits with it: it stays ours, though the store knows when it is due should we die.
  #hold(job: Job, delay: number, error: unknown): void {
    const { attempt } = job;
    job.state = "holding";
    job.attempt++;
    job.retryAt = Date.now() + delay;
    job.source.settle(job, { kind: "retry", attempt, delay, hold: true, ...named(job) }, (refused) => {
      this.#scheduler.aloneNoMore(job);
      if (!refused) this.dispatchEvent(new RetryEvent(job.source.eventType, job.position, attempt, delay, error));
    });
    this.#timers.set(
      job,
      setTimeout(() => {
        this.#timers.delete(job);
        job.renewSignal();
        this.#scheduler.enqueue(job);
        this.#scheduler.pump();
      }, Math.min(delay, 2 ** 31 - 1)),
    );
  }

  #end(job: Job, { outcome, error }: Ending): void {
    this.#finish(job, outcome, error);
  }

  /** The delivery ends with this outcome; what the store says of it comes later. */
  #finish(job: Job, outcome: Outcome, error?: unknown): void {
    job.state = "settling";
    job.error = error;
    job.source.settle(job, outcome);
    // A handler that is still running keeps its place: nothing of its key may overlap with it.
    if (!job.busy) this.#done(job);
  }

  concluded(job: Job, outcome: Outcome, refused: boolean): void {
    job.state = "gone";
    this.#scheduler.aloneNoMore(job);
    if (!refused) this.#tell(job, outcome);
    job.onSettled?.(refused);
  }

  #tell({ source: { eventType }, position, error }: Job, outcome: Outcome): void {
    if (outcome.kind === "retry") {
      this.dispatchEvent(new RetryEvent(eventType, position, outcome.attempt, outcome.delay, error));
    } else if (outcome.kind === "defer") {
      this.dispatchEvent(new DeferredEvent(eventType, position, outcome.version));
    } else if (outcome.kind === "dead") {
      this.dispatchEvent(new DeadLetterEvent(eventType, position, outcome.attempts, outcome.reason, error));
    }
  }

  wrote(eventType: string, count: number): void {
    this.#owner.consumed(eventType, count);
  }

  /** The job needs no room any more, and the next of its key has its turn. */
  #done(job: Job): void {
    if (!job.open) return;
    job.open = false;
    job.source.closed();
    this.#scheduler.leaveLine(job);
  }

  lost(jobs: readonly Job[]): void {
    const lost = jobs.filter(({ state }) => state !== "gone").map((job) => ({ job, told: job.state === "settling" }));
    // All are marked before any makes room, lest one of them start in the place of another of its key.
    for (const { job, told } of lost) {
      this.#clearTimer(job);
      if (!told) job.state = "gone";
      const { eventType, consumer } = job.source;
      job.abort(new LeaseLostError(`Delivery of ${eventType} at ${job.position} was lost by ${consumer}`));
    }
    for (const { job, told } of lost) {
      // While its handler still runs, the next of its key has to wait: nothing of one key ever overlaps.
      if (!job.busy) this.#done(job);
      if (!told) job.onSettled?.(true);
      this.dispatchEvent(new DeliveryEvent("leaselost", job.source.eventType, job.position));
    }
  }

  #clearTimer(job: Job): void {
    clearTimeout(this.#timers.get(job));
    this.#timers.delete(job);
  }

  recovered(job: Job): void {
    this.dispatchEvent(new DeliveryEvent("recovered", job.source.eventType, job.position));
  }

  /** Learns now what was lost of this type, instead of at the next renewal. */
  renew(eventType: string): void {
    for (const source of this.#sources) {
      if (source.eventType === eventType) source.renew().catch((error) => this.retrying(error, 0));
    }
  }

  missing(source: StreamConsumer, removed: RemovedRange, positions?: readonly Position[]): void {
    this.dispatchEvent(new EntriesLostEvent(source.eventType, removed, positions));
  }

  healed(source: StreamConsumer, healed: Healed): void {
    this.dispatchEvent(new GroupLostEvent(source.eventType, healed));
  }

  retrying(error: unknown, delay: number): void {
    this.dispatchEvent(new ReconnectEvent(error, delay));
  }

  failed(error: unknown): void {
    if (this.#closing === undefined) this.#rejectClosed(error);
    this.#reportOnce(error);
    void this.close();
  }

  // Whoever talks to the store at that moment learns it too, reading, renewing and leaving: it happened once.
  #reportOnce(error: unknown): void {
    if (error instanceof StoreError && error.kind === "group-deleted") {
      if (this.#deletions.has(error.message)) return;
      this.#deletions.add(error.message);
    }
    this.#listeners.report(error);
  }

  override addEventListener<T extends keyof SubscriptionEventMap>(
    type: T,
    listener: EventListenerOf<SubscriptionEventMap[T]>,
    options?: boolean | AddEventListenerOptions,
  ): void {
    this.#listeners.add(type, listener as EventListener | null, options);
  }

  override removeEventListener<T extends keyof SubscriptionEventMap>(
    type: T,
    listener: EventListenerOf<SubscriptionEventMap[T]>,
    options?: boolean | EventListenerOptions,
  ): void {
    this.#listeners.remove(type, listener as EventListener | null, options);
  }

  close(): Promise<void> {
    return this.#closing ??= this.#shutDown();
  }

  async #shutDown(): Promise<void> {
    // Set before anything else happens, so that what a claim still brings is handed back.
    await Promise.resolve();
    this.#stop.abort();
    this.settings.signal?.removeEventListener("abort", this.#abort);
    this.#scheduler.stop();
    const reading = this.#sources.map((source) => source.stopReading());
    this.#handBack((job) => !job.busy && job.state !== "starting");
    await Promise.all(reading);
    const drained = new AbortController();
    await Promise.race([this.#scheduler.idle(), sleep(this.settings.drainTimeout, drained.signal)]);
    drained.abort();
    this.#deadlines.clear();
    this.#handBack(() => true);
    await this.#leave();
    this.#resolveClosed();
    this.#owner.ended(this);
    this.dispatchEvent(new Event("close"));
  }

  #handBack(which: (job: Job) => boolean): void {
    for (const job of this.#sources.flatMap((source) => source.jobs())) {
      if (!which(job) || job.state === "gone" || job.state === "settling") continue;
      this.#clearTimer(job);
      if (job.busy) job.abort(new DOMException("The subscription is closed", "AbortError"));
      const delay = job.state === "holding" ? Math.max(0, job.retryAt - Date.now()) : 0;
      this.#release(job, delay);
    }
  }

  async #leave(): Promise<void> {
    const deadline = new AbortController();
    const timer = setTimeout(() => deadline.abort(), SETTLE_TIMEOUT);
    const left = await Promise.allSettled(this.#sources.map((source) => source.leave(deadline.signal)));
    clearTimeout(timer);
    for (const result of left) if (result.status === "rejected") this.#reportOnce(result.reason);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
