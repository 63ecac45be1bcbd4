import { isInstance } from "../../events/_foreign.ts";
import type { Healed, Limiter, Outcome, Position, RateLimit, RemovedRange } from "../../store/mod.ts";
import { StoreError } from "../../store/mod.ts";
import { reasonOf, show } from "../../events/_check.ts";
import type { DomainEvent } from "../../events/mod.ts";
import { enclosingDelivery, type HandledDelivery } from "../_causation.ts";
import { Listeners } from "../observing/_listeners.ts";
import type { Observers } from "../observing/_observers.ts";
import { settledWithin } from "../_store_retry.ts";
import {
  DeliveryEvent,
  EntriesLostEvent,
  GroupLostEvent,
  RebalanceEvent,
  ReconnectEvent,
  type SubscriptionEventMap,
} from "../lifecycle_events.ts";
import type { IdleOptions } from "../options.ts";
import type { Subscription, SubscriptionInfo } from "../subscription.ts";
import type { EventListenerOf } from "../types.ts";
import type { Settings } from "./jobs/_consumer_settings.ts";
import type { Job, JobSource } from "./jobs/_job.ts";
import { type Deliver, JobRunner } from "./jobs/_job_runner.ts";
import type { SettlingEnd } from "./jobs/_settler.ts";
import type { Breaker as FailureBreaker } from "./flow/_breaker.ts";
import type { Pause } from "./flow/_pausing.ts";
import type { RateGate } from "./flow/_rate_gate.ts";
import { SubscriptionFlow } from "./flow/_subscription_flow.ts";
import type { StreamConsumer, StreamConsumerOwner } from "./_stream_consumer.ts";
import { load } from "../../store/_load.ts";

// How long closing waits for a store that does not reply, in milliseconds. Leases have to expire after that.
const SETTLE_TIMEOUT = 5_000;

/** The part of a broker that a subscription uses. */
export interface SubscriptionOwner {
  readonly observers: Observers;
  /** Takes an error that has no listener on the subscription. */
  report(error: unknown): void;
  /** `count` events of this type were settled. */
  consumed(stream: string, count: number, bytes: number): void;
  /** The store could not be reached. */
  unreachable(error: unknown): void;
  /** Pauses a group for so many milliseconds. */
  pauseGroup(stream: string, group: string, reason: string, duration: number): Promise<void>;
  /** Limits the starts of handlers of a group. */
  limiter(stream: string, group: string): Limiter;
  /** Dispatches an event on the broker. */
  dispatch(event: Event): void;
  /** Closing takes long, for a reason that the caller of `close` may know. */
  warn(message: string): void;
  /** The subscription has closed. */
  ended(subscription: GroupSubscription): void;
  /** Resolves when a group has caught up with these types. */
  idle(streams: readonly string[], options: IdleOptions): Promise<void>;
}

// Errors of a consumer whose partition another consumer has: one of another process, or the next one of this subscription.
const TAKEN = ["occupied", "name-taken"];

/** The consumers of those partitions of a stream that a plan gives to a subscription. */
export interface AssignedPartitions {
  /** Follows the plan from now on. */
  start(): void;
  /** Whether it made this consumer, which has lost its partition to another consumer. */
  lost(source: JobSource, error: StoreError): boolean;
  /** Leaves the plan, drains and leaves all partitions. Resolves with the errors of leaving. */
  close(): Promise<unknown[]>;
}

/** A subscription of one group to one or more streams: its consumers, its lifecycle events, and its end. */
export class GroupSubscription extends EventTarget implements Subscription, StreamConsumerOwner {
  readonly settings: Settings;
  /** Called when a consumer has to drain its partition: deliveries that wait to be pulled can be released. */
  onDrain: (source: JobSource) => void = () => {};
  readonly runner: JobRunner;
  #listeners = new Listeners({
    attach: (type, listener, options) => super.addEventListener(type, listener, options),
    detach: (type, listener, options) => super.removeEventListener(type, listener, options),
    dispatch: (event) => this.#tell(event),
    unheard: (error) => this.#owner.report(error),
  });
  #flow: SubscriptionFlow<Job>;
  #owner: SubscriptionOwner;
  #streams: readonly string[];
  #consumers: StreamConsumer[] = [];
  #assigned: readonly AssignedPartitions[] = [];
  #started = false;
  /** Messages of errors about deleted groups that were reported, without the numbers of partitions. */
  #reportedDeletions = new Set<string>();
  #closing: Promise<void> | undefined;
  /** Whether a failure ended it. */
  #failed = false;
  #stop = new AbortController();
  #closed: Promise<void>;
  #resolveClosed!: () => void;
  #rejectClosed!: (error: unknown) => void;
  #isClosed = false;
  #lastError: SubscriptionInfo["lastError"];
  #abort = () => this.#closeAlone();

  /**
   * @param streams The streams that it reads; one that has partitions counts once.
   * @param Breaker Given if failures in a row pause the group.
   */
  constructor(
    owner: SubscriptionOwner,
    streams: readonly string[],
    settings: Settings,
    deliver: Deliver,
    Breaker?: typeof FailureBreaker,
  ) {
    super();
    this.#owner = owner;
    this.#streams = streams;
    this.settings = settings;
    this.runner = new JobRunner(settings, deliver, {
      dispatch: (event) => this.#tell(event),
      failed: (error, source) => this.failed(error, source),
    });
    this.#flow = new SubscriptionFlow({
      group: settings.group,
      pauseAfter: settings.pauseAfter,
      Breaker,
      closing: this.closing,
      gate: (stream) => this.#gate(stream),
      consumers: () => this.#consumers,
      pauseGroup: (stream, ...pause) => owner.pauseGroup(stream, settings.group, ...pause),
      tell: (event) => this.#tell(event),
      tellBroker: (event) => owner.dispatch(event),
      retrying: (error) => this.retrying(error, 0),
    });
    this.#closed = new Promise((resolve, reject) => [this.#resolveClosed, this.#rejectClosed] = [resolve, reject]);
    this.#closed.catch(() => {});
  }

  /** Whether an error has ended it. */
  get endedByError(): boolean {
    return this.#failed;
  }

  get lease(): number {
    return this.settings.lease;
  }

  get group(): string {
    return this.settings.group;
  }

  /** Aborts when the subscription begins to close. */
  get closing(): AbortSignal {
    return this.#stop.signal;
  }

  /** Begins to deliver from these consumers, and from those that it has or will have by an assignment. */
  start(consumers: readonly StreamConsumer[], assigned: readonly AssignedPartitions[] = []): void {
    for (const consumer of consumers) this.attach(consumer);
    this.#assigned = assigned;
    this.#started = true;
    for (const partitions of assigned) partitions.start();
    for (const consumer of this.#consumers) consumer.start();
    this.settings.signal?.addEventListener("abort", this.#abort);
    if (this.settings.signal?.aborted) this.#abort();
  }

  /** Takes the consumer of a partition, and begins to deliver from it. */
  attach(consumer: StreamConsumer): void {
    this.#consumers.push(consumer);
    this.#flow.joined(consumer);
    if (this.#started) consumer.start();
  }

  /**
   * Drains a consumer as closing would, and leaves its group, so that another consumer can take over. Rejects if the store
   * does not reply.
   */
  async detach(consumer: StreamConsumer): Promise<void> {
    consumer.drain();
    this.onDrain(consumer);
    const reading = consumer.stopReading();
    this.runner.releaseIdle(consumer.jobs());
    await settledWithin(reading, SETTLE_TIMEOUT);
    await settledWithin(consumer.idle(), this.settings.drainTimeout);
    this.runner.releaseAll(consumer.jobs(), "The partition moves to another consumer");
    try {
      await consumer.leave(AbortSignal.timeout(SETTLE_TIMEOUT));
    } finally {
      this.#forget(consumer);
    }
  }

  /** Ends a consumer whose partition another consumer has taken: its deliveries are lost. */
  async abandon(consumer: StreamConsumer): Promise<void> {
    consumer.drain();
    void consumer.stopReading();
    this.runner.lost(consumer.jobs());
    // The store has given this consumer up. Leaving frees what the store keeps for it in this process.
    await consumer.leave(AbortSignal.timeout(SETTLE_TIMEOUT)).catch(() => {});
    this.#forget(consumer);
  }

  /** The consumers of one stream in the store. */
  consumersOf(stream: string): StreamConsumer[] {
    return this.#consumers.filter((consumer) => consumer.stream === stream);
  }

  #forget(consumer: StreamConsumer): void {
    this.#consumers = this.#consumers.filter((other) => other !== consumer);
  }

  /** Renews the leases for this stream and its partitions now, to learn which deliveries were lost. */
  renew(stream: string): void {
    for (const consumer of this.#consumers) if (consumer.logical === stream) consumer.renewNow();
  }

  /** Has its consumers of a stream and its partitions read the control of the group now. */
  async checkControl(stream: string): Promise<void> {
    await this.#flow.check(stream);
  }

  /** What counts the failures of a stream; undefined if none pause it. */
  breakerOf(stream: string): FailureBreaker | undefined {
    return this.#flow.breakerOf(stream);
  }

  gateOf({ logical }: JobSource): RateGate<Job> | undefined {
    return this.#flow.gateOf(logical);
  }

  limited({ logical }: JobSource, rate: RateLimit | undefined): void {
    this.#flow.limited(logical, rate).then(() => this.runner.pump(), (error) => this.failed(error));
  }

  /** Limits the starts of handlers for a stream, if the subscription has a limit. */
  async limit(stream: string): Promise<void> {
    if (this.settings.rate !== undefined) await this.#flow.limit(stream);
  }

  async #gate(stream: string): Promise<RateGate<Job>> {
    const { RateGate } = await load(() => import("./flow/_rate_gate.ts"));
    const { group, rate } = this.settings;
    const by = rate?.by;
    return new RateGate<Job>({
      limiter: this.#owner.limiter(stream, group),
      rate,
      by: by && ((job) => keyOf(by, job)),
      closing: this.closing,
      pump: () => this.runner.pump(),
      failed: (job, error) => this.runner.cannotStart(job, error),
      retrying: (error, delay) => this.retrying(error, delay),
    });
  }

  throttle({ logical }: JobSource, error: unknown, duration: number): void {
    this.#flow.throttle(logical, error, duration);
  }

  pausing(source: JobSource, pause: Pause | undefined): void {
    this.#flow.changed(source, pause);
    if (pause !== undefined) this.onDrain(source);
  }

  pause(): void {
    this.#flow.pauseHere(true);
  }

  resume(): void {
    this.#flow.pauseHere(false);
  }

  /** Dispatches a lifecycle event. */
  #tell(event: Event): void {
    const { observers } = this.#owner;
    if (observers.active) observers.lifecycle(event, { group: this.group });
    this.dispatchEvent(event);
  }

  settling(source: JobSource, outcomes: readonly Outcome[], jobs: readonly Job[]): SettlingEnd | undefined {
    const { observers } = this.#owner;
    if (!observers.active) return undefined;
    const { eventType, group, consumer } = source;
    return observers.settling({
      eventType,
      group,
      consumer,
      outcomes: outcomes.map(({ kind, position }, nth) => {
        const { traceparent, observed } = jobs[nth]!;
        return { position, outcome: kind, delivery: observed?.delivery, traceparent };
      }),
    });
  }

  wrote(stream: string, count: number, bytes: number): void {
    this.#owner.consumed(stream, count, bytes);
  }

  recovered({ eventType, position }: Job): void {
    this.#tell(new DeliveryEvent("recovered", eventType, position));
  }

  rebalanced(stream: string, assigned: readonly number[], gained: readonly number[], lost: readonly number[]): void {
    this.#tell(new RebalanceEvent(stream, assigned, gained, lost));
  }

  warn(message: string): void {
    this.#owner.warn(message);
  }

  missing(eventType: string, removed: RemovedRange, positions?: readonly Position[]): void {
    this.#tell(new EntriesLostEvent(eventType, removed, positions));
  }

  healed(eventType: string, healed: Healed): void {
    this.#tell(new GroupLostEvent(eventType, healed));
  }

  retrying(error: unknown, delay: number): void {
    this.#owner.unreachable(error);
    this.#lastError = { error, at: new Date() };
    this.#tell(new ReconnectEvent(error, delay));
  }

  failed(error: unknown, source?: JobSource): void {
    if (source !== undefined && isInstance(error, StoreError) && TAKEN.includes(error.kind)) {
      // A call of a consumer that is about to leave, or has left, may still be under way.
      if (source.draining || this.#assigned.some((partitions) => partitions.lost(source, error))) return;
    }
    this.#failed = true;
    this.#lastError = { error, at: new Date() };
    if (this.#closing === undefined) this.#rejectClosed(error);
    this.#reportOnce(error);
    this.#closeAlone();
  }

  // Reading, renewing and leaving may each find that the group was deleted: it is reported once.
  #reportOnce(error: unknown): void {
    if (isInstance(error, StoreError) && error.kind === "group-deleted") {
      // The group is usually deleted in all partitions at once.
      const message = error.message.replace(/#\d+/g, "");
      if (this.#reportedDeletions.has(message)) return;
      this.#reportedDeletions.add(message);
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
    // Closing waits for the calling handler: the handler must not wait for closing.
    if (this.enclosing() !== undefined) return Promise.resolve(this.#closeAlone());
    return this.end();
  }

  /** Closes as `close` does, but never resolves early: the broker awaits the end before it disposes the store. */
  end(): Promise<void> {
    return this.#closing ??= this.#shutDown();
  }

  get closed(): Promise<void> {
    const delivery = this.enclosing();
    return delivery === undefined ? this.#closed : this.#closedFor(delivery);
  }

  /** `closed` for a handler of this subscription: rejects once closing waits for that handler. */
  #closedFor(delivery: HandledDelivery): Promise<void> {
    const { attempt } = delivery;
    const closed = new Promise<void>((resolve, reject) => {
      const refuse = () => {
        if (!delivery.busy || delivery.attempt !== attempt) return;
        reject(
          new TypeError(
            `Cannot wait in a handler of group "${this.group}" until its own subscription has closed: closing waits for ` +
              `the handler; return from the handler, and await closed outside of it`,
          ),
        );
      };
      this.#closed.then(resolve, reject);
      if (this.#closing === undefined) this.closing.addEventListener("abort", refuse);
      else refuse();
    });
    closed.catch(() => {});
    return closed;
  }

  /** Whether it reads this stream, or its partitions. */
  reads(stream: string): boolean {
    return this.#closing === undefined && this.#consumers.some(({ logical }) => logical === stream);
  }

  /** The delivery of this subscription whose handler contains the caller, so that closing waits for the caller. */
  enclosing(): HandledDelivery | undefined {
    const delivery = enclosingDelivery();
    return this.#consumers.some((consumer) => consumer === delivery?.source) ? delivery : undefined;
  }

  /** Closes without a caller that awaits it: an error of closing becomes an `error` event, and `closed` rejects. */
  #closeAlone(): void {
    this.end().catch((error) => {
      if (this.#listeners.has("error")) this.#listeners.report(error);
    });
  }

  info(): SubscriptionInfo {
    const types = this.#consumers.map((consumer) => consumer.info());
    const sum = (count: (type: SubscriptionInfo["types"][number]) => number) =>
      types.reduce((total, type) => total + count(type), 0);
    return {
      group: this.group,
      state: this.#isClosed ? "closed" : this.#closing === undefined ? "reading" : "closing",
      held: sum(({ held }) => held),
      waiting: sum(({ waiting }) => waiting),
      running: sum(({ running }) => running),
      lastError: this.#lastError,
      types,
    };
  }

  async #shutDown(): Promise<void> {
    // Listeners that the next lines call may close again, and must find `#closing` set.
    await Promise.resolve();
    this.runner.stop();
    this.#stop.abort();
    this.settings.signal?.removeEventListener("abort", this.#abort);
    // Each assigned partition is left as soon as it is drained: other consumers wait for it.
    const handingOver = this.#assigned.map((partitions) => partitions.close());
    const own = this.#consumers.filter(({ draining }) => !draining);
    const jobs = () => own.flatMap((consumer) => consumer.jobs());
    const reading = own.map((consumer) => consumer.stopReading());
    this.runner.releaseIdle(jobs());
    await settledWithin(Promise.all(reading), SETTLE_TIMEOUT);
    if (own.length > 0) await settledWithin(this.runner.idle(), this.settings.drainTimeout);
    this.runner.releaseAll(jobs());
    const failure = await this.#leave(own, handingOver);
    this.#isClosed = true;
    if (failure === undefined) this.#resolveClosed();
    else {
      this.#lastError = { error: failure, at: new Date() };
      this.#rejectClosed(failure);
    }
    this.#owner.ended(this);
    this.#tell(new Event("close"));
    // If a failure ended the subscription, leaving fails for the same reason, which `closed` has reported.
    if (failure !== undefined && !this.#failed) throw failure;
  }

  /** Settles and leaves the group on each stream; returns the error of closing, if there is one. */
  async #leave(
    own: readonly StreamConsumer[],
    handingOver: readonly Promise<unknown[]>[],
  ): Promise<Error | undefined> {
    const deadline = new AbortController();
    const timer = setTimeout(() => deadline.abort(new Error("the store does not reply")), SETTLE_TIMEOUT);
    const left = await Promise.allSettled(own.map((consumer) => consumer.leave(deadline.signal)));
    clearTimeout(timer);
    const failures: unknown[] = [];
    const refused = left.filter((result) => result.status === "rejected").map(({ reason }): unknown => reason);
    for (const reason of [...refused, ...(await Promise.all(handingOver)).flat()]) {
      if (isInstance(reason, StoreError) && reason.kind === "group-deleted") this.#reportOnce(reason);
      else failures.push(reason);
    }
    if (failures.length === 0) return undefined;
    const reasons = [...new Set(failures.map(reasonOf))].join("; ");
    const cause = failures.length === 1 ? failures[0] : new AggregateError(failures, reasons);
    return new Error(
      `Cannot close the subscription of group "${this.group}" cleanly: ${reasons}; deliveries that are ` +
        `not settled will be redelivered when the lease has expired (${this.settings.lease} ms)`,
      { cause },
    );
  }

  idle(options: { signal?: AbortSignal } = {}): Promise<void> {
    return this.#owner.idle(this.#streams, { ...options, group: this.group });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/** The key whose limit a job has. */
function keyOf(by: (event: DomainEvent) => string, { content, eventType }: Job): string {
  const key: unknown = by(content as DomainEvent);
  if (typeof key === "string") return key;
  throw new TypeError(`Cannot limit the rate of ${eventType} by the key ${show(key)}: it must be a string`);
}
