import { recordIn } from "../../../events/_state.ts";
import { DomainEvent } from "../../../events/mod.ts";
import { sizeOf } from "../../../store/_size.ts";
import type { ClaimedRecord, Outcome, Position } from "../../../store/mod.ts";
import type { DecodingFailure } from "../../codec/_detail_contract.ts";
import type { Decoded } from "../../codec/_event_codec.ts";
import type { OTHER_TYPE } from "../../codec/_stream_codec.ts";
import type { Call } from "../../_causation.ts";
import type { SteppedDelivery, Steps } from "./_steps.ts";
import type { ObservedAttempt } from "../../observing/_observers.ts";
import type { Delivery } from "../../delivery.ts";
import type { Breaker } from "../flow/_breaker.ts";
import type { RateGate } from "../flow/_rate_gate.ts";
import { UndecodableError } from "../../errors.ts";
import { load } from "../../../store/_load.ts";

// The longest delay of setTimeout, in milliseconds.
const LONGEST_TIMER = 2 ** 31 - 1;

/** A state of a {@linkcode Job}. */
export type JobState = "decoding" | "waiting" | "starting" | "running" | "holding" | "settling" | "gone";

/** The decoded event, or the error of decoding; undefined once a handler has succeeded. */
export type Content = Decoded<DomainEvent> | DecodingFailure | typeof OTHER_TYPE | undefined;

/** What a consumer is told of keys that its dead letters hold. */
export interface KeyHolds {
  /** This job has become a dead letter that holds its key from now on: later ones of the key wait. */
  held(letter: Job): void;
  /** A delivery of this key is about to wait. */
  waiting(key: string): void;
  /** The store has replied to it. */
  answered(key: string): void;
}

/** The consumer that claimed a job, as the job, the runner and the scheduler see it. */
export interface JobSource {
  /** The name of its stream: the event type, unless several types share the stream. */
  readonly eventType: string;
  /** The stream in the store. */
  readonly stream: string;
  /** The stream that it is a partition of; the same as `stream` without partitions. */
  readonly logical: string;
  readonly group: string;
  /** Its name in the store: `<name>.<incarnation>`. */
  readonly consumer: string;
  /** Returns the key of an event; undefined without keys. */
  readonly key: ((event: DomainEvent) => string) | undefined;
  /** Keeps jobs from starting whose key a dead letter holds; undefined if dead letters hold no keys. */
  readonly heldKeys: KeyHolds | undefined;
  /** True when it is about to leave: no handler of its deliveries starts any more. */
  readonly draining: boolean;
  /** True when no handler of its deliveries may start, because it drains or is paused. */
  readonly stopped: boolean;
  /** Keeps jobs until the limit of the group allows them to start; undefined without a limit. */
  readonly gate: RateGate<Job> | undefined;
  /** Pauses the group for so many milliseconds, because a handler may do no more. */
  throttle(error: unknown, duration: number): void;
  /** Pauses the group after failures in a row; undefined if none is wanted. */
  readonly breaker: Breaker | undefined;
  /** False when the lease may have expired: it must be renewed before another handler starts. */
  readonly fresh: boolean;
  /** The number that the store compares for a version of this type; see `StreamCodec.version`. */
  versionFor(eventType: string, version: number): number;
  /** Renews the lease, and tries again until the store replies. */
  renewUntilDone(): Promise<void>;
  /** Sends an outcome to the store. With `onReply` the job goes on, and the callback learns whether the store refused. */
  settle(job: Job, outcome: Outcome, onReply?: (refused: boolean) => void): void;
  /** Keeps a text beside the delivery in the store; resolves with false if it is lost, or the signal has aborted. */
  keep(job: Job, name: string, text: string, signal: AbortSignal): Promise<boolean>;
  /** The texts that are kept beside the delivery, by name. */
  kept(job: Job, signal: AbortSignal): Promise<Readonly<Record<string, string>>>;
  handlerStarted(): void;
  handlerEnded(): void;
  /** Jobs of it were lost, all at once. Called before any other job of their keys may start. */
  noteLost(jobs: readonly Job[]): void;
  /** A job no longer takes a place in the prefetch window. */
  jobClosed(job: Job): void;
  /** Claims again if there is room. */
  updateRoom(): void;
}

/**
 * One delivery, from its claim to its end. The job owns its state: every transition is a method.
 *
 *     claimed ──► decoding ──► waiting ──────────────► running ──► settling ──► gone
 *        │                     ▲  ▲  │                  ▲   │         ▲
 *        └─────────────────────┘  │  └──► starting ─────┘   │         │
 *                                 │                         ▼         │
 *                                 └────────────────────── holding ────┘
 *
 * - `decoding`: its entry is being decoded asynchronously.
 * - `waiting`: it waits for a free handler, and for earlier events of its key.
 * - `starting`: the store is recording that it runs exclusively, without any other handler at the same time.
 * - `running`: its handler runs.
 * - `holding`: it failed, here or at an earlier consumer, and waits for its next attempt. Later events of its key wait
 *   behind it.
 * - `settling`: its outcome is on the way to the store. Every earlier state can settle, such as by a release.
 * - `gone`: the store has its outcome, or the delivery is lost. Every state except `settling` is lost directly.
 *
 * Two facts are independent of the state. `busy`: its handler has not ended, although the delivery may be lost or settled.
 * `open`: it takes a place in the prefetch window, and later events of its key wait for it. That ends when the job is
 * settling or gone, and not busy.
 */
export class Job {
  readonly source: JobSource;
  /** The type of its event, as its entry says. */
  readonly eventType: string;
  readonly position: Position;
  readonly fence: string;
  /** How often it was taken over from a dead consumer. */
  readonly recovered: number;
  /** True when it was deferred for longer than `deferTimeout`. */
  readonly expired: boolean;
  /** Its number among all jobs of its consumer, from 1. Of several jobs for one entry, the highest number is the newest. */
  readonly sequence: number;
  /** The size of its entry, in bytes. */
  readonly size: number;
  #content: Content;
  #state: JobState = "waiting";
  #attempt: number;
  #busy = false;
  /** How often its handler was started here. */
  #starts = 0;
  #open = true;
  #key: string | undefined;
  #error: unknown;
  /** When its next attempt is due, by `performance.now()`; 0 or a past time when it may start now. */
  #retryAt = 0;
  #retryTimer: ReturnType<typeof setTimeout> | undefined;
  #slot = -1;
  /** Whether it is about to become a dead letter that holds its key, so that no later event of the key may start yet. */
  #keepsKey = false;
  #onSettled: ((refused: boolean) => void) | undefined;
  #observed: ObservedAttempt | undefined;
  #call: Call | undefined;
  #controller: AbortController | undefined;
  #abortReason: unknown;

  constructor(source: JobSource, record: ClaimedRecord, sequence: number, eventType: string, content: Content) {
    this.source = source;
    this.eventType = eventType;
    this.position = record.position;
    this.fence = record.fence;
    this.recovered = record.recovered;
    this.expired = record.expired === true;
    this.sequence = sequence;
    this.size = sizeOf(record.fields);
    this.#attempt = record.attempt;
    if (record.dueIn !== undefined) this.#retryAt = performance.now() + record.dueIn;
    this.#content = content;
  }

  get state(): JobState {
    return this.#state;
  }

  get content(): Content {
    return this.#content;
  }

  /** The attempt that runs or comes next, from 1. */
  get attempt(): number {
    return this.#attempt;
  }

  get busy(): boolean {
    return this.#busy;
  }

  /** How often its handler was started here: tells a start from an earlier one of the same attempt. */
  get starts(): number {
    return this.#starts;
  }

  /** The key of its event; undefined without keys. */
  get key(): string | undefined {
    return this.#key;
  }

  /** Whether it is about to become a dead letter that holds its key: the store has not replied yet. */
  get keepsKey(): boolean {
    return this.#keepsKey;
  }

  /** The error of the last attempt. */
  get error(): unknown {
    return this.#error;
  }

  /** Its index in the list of held jobs, which keeps it up to date by {@linkcode moveTo}. */
  get slot(): number {
    return this.#slot;
  }

  /** Whether it is neither settled nor lost yet. */
  get unsettled(): boolean {
    return this.#state !== "settling" && this.#state !== "gone";
  }

  /** Whether its event is not to be handled any more, by the clock of this process. */
  get isExpired(): boolean {
    const expires = typeof this.#content === "object" && this.#content instanceof DomainEvent
      ? recordIn(this.#content).expires
      : undefined;
    return expires !== undefined && expires <= Date.now();
  }

  /** It was taken over from two dead consumers and may be the cause, so its next attempt runs exclusively. */
  get suspect(): boolean {
    return this.recovered >= 2;
  }

  /** Aborts when the delivery is lost, has timed out or is drained. */
  get signal(): AbortSignal {
    // Made on first use, since few handlers use their signal.
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#abortReason !== undefined) this.#controller.abort(this.#abortReason);
    }
    return this.#controller.signal;
  }

  abort(reason: unknown): void {
    this.#abortReason ??= reason;
    this.#controller?.abort(reason);
  }

  moveTo(slot: number): void {
    this.#slot = slot;
  }

  orderBy(key: string): void {
    this.#key = key;
  }

  decodeLater(): void {
    this.#state = "decoding";
  }

  /** decoding → waiting. Returns false if it was released or lost meanwhile. */
  decoded(content: Content): boolean {
    if (this.#state !== "decoding") return false;
    this.#content = content;
    this.#state = "waiting";
    return true;
  }

  /** waiting → starting. */
  startExclusively(): void {
    this.#state = "starting";
  }

  /** waiting, starting → running. */
  start(): void {
    this.#state = "running";
    this.#busy = true;
    this.#starts++;
    this.#observed = undefined;
    this.source.handlerStarted();
  }

  /** The handler of this attempt has ended or timed out. Returns false if the attempt had timed out before. */
  handlerEnded(attempt: number): boolean {
    if (!this.#busy || this.#attempt !== attempt) return false;
    this.#busy = false;
    if (this.#call !== undefined) this.#call.delivery = undefined;
    this.source.handlerEnded();
    return true;
  }

  /** running → holding → waiting: after `delay` milliseconds its next attempt is due, and `onDue` queues it. */
  hold(delay: number, onDue: () => void): void {
    this.#state = "holding";
    this.#attempt++;
    this.#retryAt = performance.now() + delay;
    this.#retryIn(delay, onDue);
  }

  /**
   * waiting → holding → waiting: its retry is not due yet. An exclusive consumer gets it before, so that it keeps its place
   * in the order of its key.
   */
  holdUntilDue(onDue: () => void): void {
    this.#state = "holding";
    this.#retryIn(this.retryDelay, onDue);
  }

  #retryIn(delay: number, onDue: () => void): void {
    const step = Math.min(delay, LONGEST_TIMER);
    this.#retryTimer = setTimeout(() => {
      if (delay > step) return this.#retryIn(delay - step, onDue);
      this.repeat();
      onDue();
    }, step);
  }

  /** running, holding → waiting: it starts again, with the attempt that it has now. */
  repeat(): void {
    this.#state = "waiting";
    // Each start has a signal of its own.
    this.#controller = undefined;
    this.#abortReason = undefined;
  }

  /** When its next attempt is due, in milliseconds from now; 0 when it may start now. */
  get retryDelay(): number {
    return this.#retryAt === 0 ? 0 : Math.max(0, this.#retryAt - performance.now());
  }

  /** any state but gone → settling: its outcome goes to the store. */
  settle(outcome: Outcome, error?: unknown): void {
    clearTimeout(this.#retryTimer);
    this.#state = "settling";
    this.#error = error;
    this.#keepsKey = outcome.kind === "dead" && outcome.key !== undefined;
    // Frees the event: the reply of the store may take a while.
    if (outcome.kind === "ack") this.#content = undefined;
    this.source.settle(this, outcome);
  }

  /** settling → gone: the store has replied, or will not be asked any more. */
  conclude(): void {
    this.#state = "gone";
    this.#keepsKey = false;
  }

  /** any state → gone: this consumer no longer has the delivery. A settling job stays settling until the reply comes. */
  lose(reason: unknown): void {
    clearTimeout(this.#retryTimer);
    if (this.#state !== "settling") this.#state = "gone";
    this.abort(reason);
  }

  /** Gives up its place in the prefetch window, unless its handler still runs. Returns false if nothing changed. */
  close(): boolean {
    if (this.#busy || !this.#open) return false;
    this.#open = false;
    this.source.jobClosed(this);
    return true;
  }

  /** The call of the handler in this attempt. Code that it started is inside of it until the handler has ended. */
  call(event: DomainEvent): Call {
    return this.#call = { event, delivery: this, outer: undefined };
  }

  /** Has observers follow this attempt. */
  observe(attempt: ObservedAttempt): void {
    this.#observed = attempt;
  }

  /** The attempt as observers follow it, also after it has ended. */
  get observed(): ObservedAttempt | undefined {
    return this.#observed;
  }

  /** The W3C traceparent of the event, also if it could not be decoded. */
  get traceparent(): string | undefined {
    const event = this.#observed?.delivery.event ?? this.#content;
    if (event instanceof UndecodableError) return event.raw["traceparent"];
    return typeof event !== "object" || event instanceof Error ? undefined : event.traceparent;
  }

  /** Calls back once the delivery or a failed attempt has ended: with true if it was lost or refused. */
  onSettled(callback: (refused: boolean) => void): void {
    this.#onSettled = callback;
  }

  /** Calls the callback of {@linkcode onSettled}. */
  notifySettled(lost: boolean): void {
    this.#onSettled?.(lost);
  }

  /** Takes the callback of {@linkcode onSettled}: a held retry ends the attempt for its caller, not the delivery. */
  takeOnSettled(): ((refused: boolean) => void) | undefined {
    const callback = this.#onSettled;
    this.#onSettled = undefined;
    return callback;
  }
}

/** The delivery that a handler receives for a job. */
export class JobDelivery<E extends DomainEvent> implements Delivery<E> {
  readonly event: E;
  readonly position: Position;
  readonly group: string;
  readonly consumer: string;
  readonly attempt: number;
  readonly recovered: number;
  #job: Job;
  #signal: AbortSignal | undefined;
  #steps: Promise<Steps> | undefined;

  constructor(job: Job) {
    this.#job = job;
    this.event = job.content as E;
    this.position = job.position;
    this.group = job.source.group;
    this.consumer = job.source.consumer;
    this.attempt = job.attempt;
    this.recovered = job.recovered;
  }

  get signal(): AbortSignal {
    // Kept here, since the next attempt of the same job has another signal.
    return this.#signal ??= this.#job.signal;
  }

  async once<T>(name: string, step: () => T | PromiseLike<T>): Promise<T> {
    // Loaded on demand, since few handlers have steps.
    const steps = this.#steps ??= load(() => import("./_steps.ts")).then(({ Steps }) => new Steps(this.#stepped()));
    return await (await steps).once(name, step);
  }

  #stepped(): SteppedDelivery {
    const job = this.#job;
    const { signal, position, consumer } = this;
    return {
      eventType: job.eventType,
      position,
      consumer,
      signal,
      keep: (name, text) => job.source.keep(job, name, text, signal),
      kept: () => job.source.kept(job, signal),
    };
  }
}
