import { checkKeys, checkSignal, show } from "../events/_check.ts";
import { Engine } from "./_engine.ts";
import { brokerSettings } from "./_settings.ts";
import type { DomainEvent, EventClass } from "../events/mod.ts";
import type { EventStore, Position, When } from "../store/mod.ts";
import { StreamCodec } from "./codec/_stream_codec.ts";
import { callHandler, type Deliver } from "./consuming/jobs/_job_runner.ts";
import { Listeners } from "./observing/_listeners.ts";
import { assertScheduleName, checkRule } from "./repeating/_ticks.ts";
import { checkDue, checkScheduled } from "./scheduling/_due.ts";
import { checkExpected, type ExpectedRevision } from "./publishing/_expected_revision.ts";
import { pull } from "./consuming/pulling/_pull.ts";
import { readEvents, readRange, replayEvents } from "./reading/_history.ts";
import { consumeSettings, type Settings, subscribeSettings } from "./consuming/jobs/_consumer_settings.ts";
import type { RequestOptions } from "./request_options.ts";
import type { BatchHandler, BatchOptions } from "./batch.ts";
import type { Handler, PulledDelivery } from "./delivery.ts";
import type { BrokerHealth, HealthOptions } from "./operating/health.ts";
import type { BrokerObserver } from "./observing/observer.ts";
import { type BrokerEventMap, WarningEvent } from "./lifecycle_events.ts";
import type {
  BrokerOptions,
  ConsumeOptions,
  DiscardDeadLettersOptions,
  Due,
  IdleOptions,
  MissedTicks,
  PublishOptions,
  ReadOptions,
  RedriveOptions,
  ScheduledOptions,
  ScheduleOptions,
  ScheduleRule,
  StartFrom,
  SubscribeOptions,
} from "./options.ts";
import type { DeadLetter, ScheduleInfo, StreamInfo } from "./operating/stream_info.ts";
import type { Subscription } from "./subscription.ts";
import type { EventListenerOf, EventOf, OneOrMore } from "./types.ts";
import { load } from "../store/_load.ts";

/** The events that a broker dispatches, by type: events of its classes, and lifecycle events. */
export type EventMap<C extends EventClass> = { [K in C as K["type"]]: InstanceType<K> } & BrokerEventMap;

/** The options of `publish`, checked. */
interface PublishTerms {
  readonly expected: ExpectedRevision | undefined;
  readonly when: When | undefined;
  readonly signal: AbortSignal | undefined;
}

/**
 * Publishes events of a set of classes to a store, and delivers them: durably to groups, and live to listeners. It is an
 * `EventTarget`, typed by its event classes.
 *
 * Usually made by {@linkcode connect} or as an {@linkcode InMemoryBroker}.
 */
export class EventBroker<C extends EventClass = EventClass> extends EventTarget implements AsyncDisposable {
  /** The event classes that it publishes and delivers. */
  readonly events: readonly C[];
  #listeners = new Listeners({
    attach: (type, listener, options) => super.addEventListener(type, listener, options),
    detach: (type, listener, options) => super.removeEventListener(type, listener, options),
    dispatch: (event) => this.#engine.tell(event),
    changed: (type) => this.#listenersChanged(type),
  });
  #store: EventStore;
  #engine: Engine;

  /**
   * Makes a broker over a store. Closing the broker disposes the store.
   *
   * @throws {TypeError} If `events` is empty, or has two classes of one type or a class that `defineEvent` did not make; or
   * if an option is unknown or malformed.
   * @throws {RangeError} If a number is out of range.
   */
  constructor(store: EventStore, options: BrokerOptions<C>) {
    super();
    const settings = brokerSettings(options);
    this.#store = store;
    this.#engine = new Engine(store, settings, {
      listeners: this.#listeners,
      dispatch: (event) => void this.dispatchEvent(event),
    });
    this.events = Object.freeze([...settings.events]);
    // In a later turn of the event loop, so that the caller can add a listener first.
    if (store.warnings?.length) setTimeout(() => this.#warn(store.warnings!), 0);
    this.#engine.closing.followSignal();
  }

  #warn(warnings: readonly string[]): void {
    for (const warning of warnings) this.#engine.tell(new WarningEvent(warning));
  }

  /**
   * Publishes one event, and resolves with its position once the store has it. Concurrent calls share round trips. Events
   * of one stream are stored in the order of the calls.
   *
   * @param options.expected The revision that the event's subject must have.
   * @param options.signal Ends the wait: the promise rejects with the signal's reason. An event that was already sent may
   * still be stored.
   * @throws {TypeError} If the event's class is not in `events`, or JSON cannot hold its detail without loss.
   * @throws {ValidationError} If the event's schema is asynchronous and refuses the event.
   * @throws {RangeError} If the event is larger than 16 MiB.
   * @throws {ConflictError} If the subject has another revision than `expected`. Nothing was stored.
   * @throws {PublishQueueFullError} If too many events wait for the store already. Nothing was stored.
   * @throws {PublishTimeoutError} If the store could not be reached within `publishTimeout`. Nothing was stored.
   * @throws {UncertainPublishError} If no reply came within `publishTimeout`: publish the same object again.
   * @throws {BrokerClosedError} If the broker has closed. Nothing was stored.
   */
  publish(event: EventOf<C>, options?: PublishOptions): Promise<Position>;
  /**
   * Publishes events. Those of one stream, or of one partition of it, are stored together or not at all: at most 500 events
   * and about 1 MiB. Each type has a stream of its own, unless classes share one. Streams and partitions are independent of
   * each other.
   *
   * @throws {RangeError} If there are too many events of one stream for one batch. Nothing was stored.
   * @throws {StoreError} `"partitions-differ"` if the stream has another number of partitions in the store.
   * @throws {PublishError} If some streams or partitions failed: its message names them, and its `positions` say which events
   * were stored. With one, the error is that of a single publish.
   */
  publish(events: readonly EventOf<C>[], options?: PublishOptions): Promise<Position[]>;
  /**
   * Publishes events of one stream later: at a time, or after a delay in milliseconds, by the clock of the store. Resolves with
   * their time, of several partitions with the latest one, once the store has them, as durably as any event. A time in the past
   * is now. At its time an event is appended to its stream, once, within 50 ms while a broker with its class is open, and when
   * one opens otherwise. If the process that published it dies within a second, the event may be one second late. Its position
   * and its place in the order are those of its appending; events of one time keep the order of the calls.
   *
   * A waiting event of the same type and id is replaced.
   *
   * @throws {TypeError} If both `delay` and `at` are given, or `expected`; or for events of several streams, or none; or if an
   * event was published before without a time.
   * @throws {RangeError} For a delay of more than 1,000 years, `NaN`, or a date after the year 9999.
   * @throws The same errors as without a time.
   *
   * @example A reminder that is cancelled
   * ```ts
   * import { defineEvent, InMemoryBroker } from "@tidings/broker";
   * import { assert, assertEquals } from "@std/assert";
   *
   * class Reminder extends defineEvent("Reminder")<{ text: string }> {}
   *
   * await using broker = new InMemoryBroker({ events: [Reminder] });
   * const reminder = new Reminder({ text: "Pay the bill" });
   * const due = await broker.publish(reminder, { delay: 60_000 });
   * assert(due > new Date());
   * assertEquals((await broker.info(Reminder)).scheduled, { waiting: 1, next: due });
   * assert(await broker.unschedule(Reminder, reminder.id));
   * ```
   */
  publish(events: EventOf<C> | readonly EventOf<C>[], options: ScheduleOptions): Promise<Date>;
  // There is no await before the events are queued, so that events keep the order of the calls.
  publish(
    events: EventOf<C> | readonly EventOf<C>[],
    options?: PublishOptions | ScheduleOptions,
  ): Promise<Position | Position[] | Date> {
    try {
      const when = options === undefined ? undefined : checkPublish(options);
      const signal = options?.signal;
      checkSignal(signal);
      const expectation = (options as PublishOptions | undefined)?.expected;
      const expected = expectation === undefined ? undefined : checkExpected(expectation);
      this.#engine.closing.assertUsable("publish");
      if (Array.isArray(events)) { for (const event of events) this.#engine.codecs.assertPublishable(event); }
      else this.#engine.codecs.assertPublishable(events);
      const checked = events as DomainEvent | readonly DomainEvent[];
      const terms = { expected, when, signal };
      return this.#engine.observers.active ? this.#publishObserved(checked, terms) : this.#publish(checked, terms);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  #publish(
    events: DomainEvent | readonly DomainEvent[],
    { expected, when, signal }: PublishTerms,
  ): Promise<Position | Position[] | Date> {
    if (when !== undefined) return this.#publishLater(events, when, signal);
    if (expected !== undefined) return this.#publishExpected(events, expected, signal);
    if (Array.isArray(events)) return this.#engine.publisher.publishAll(events, signal);
    return this.#engine.publisher.publish(events as DomainEvent, signal);
  }

  async #publishLater(
    events: DomainEvent | readonly DomainEvent[],
    when: When,
    signal: AbortSignal | undefined,
  ): Promise<Date> {
    const all: readonly DomainEvent[] = Array.isArray(events) ? events : [events];
    const streams = new Set(all.map((event) => this.#engine.codecs.ofEvent(event).stream));
    if (streams.size !== 1) {
      const why = streams.size === 0 ? "there are none" : `they belong to several streams (${[...streams].join(", ")})`;
      throw new TypeError(`Cannot publish events later: ${why}; give events of one stream`);
    }
    await this.#engine.publisher.publishScheduled(all, when, signal);
    return new Date(Math.max(...all.map((event) => event.scheduledFor!.getTime())));
  }

  async #publishExpected(
    events: DomainEvent | readonly DomainEvent[],
    expected: ExpectedRevision,
    signal: AbortSignal | undefined,
  ): Promise<Position | Position[]> {
    const all: readonly DomainEvent[] = Array.isArray(events) ? events : [events];
    for (const event of all) {
      this.#engine.layouts.assertRevisions(
        "publish with an expected revision",
        this.#engine.codecs.ofEvent(event).stream,
      );
    }
    const positions = await this.#engine.publisher.publishExpected(all, expected, signal);
    return Array.isArray(events) ? [...positions] : positions[0]!;
  }

  // Apart, so that an event that nobody observes needs no closure.
  #publishObserved(
    events: DomainEvent | readonly DomainEvent[],
    terms: PublishTerms,
  ): Promise<Position | Position[] | Date> {
    const all = Array.isArray(events) ? events : [events];
    return this.#engine.observers.publish(all, () => this.#publish(events, terms));
  }

  /**
   * Subscribes a handler of batches to a group: it gets up to `batch.size` events at once, as soon as there are as many, or
   * after `batch.wait` milliseconds. When it resolves, all are acknowledged. When it throws, each is retried with its own
   * attempts, or only those that a `BatchError` names. `concurrency` batches are handled at once. With a `key`, a batch may
   * have several events of a key, in order.
   *
   * @throws {TypeError} If `batch.size` is larger than `prefetch`, and as for other handlers.
   * @throws {RangeError} If a number is out of range.
   */
  subscribe<K extends C>(
    events: OneOrMore<K>,
    handler: BatchHandler<EventOf<K>>,
    options: SubscribeOptions<EventOf<K>> & { batch: BatchOptions },
  ): Promise<Subscription>;
  /**
   * Subscribes a handler to a group. Each event is handled by one consumer of the group, at least once, also when
   * processes crash. When the handler resolves, the event is acknowledged. When it throws, the event is retried after a
   * delay; after `maxAttempts` it becomes a dead letter. The promise resolves once the consumer has joined the group, and
   * before it reads: listeners can be added to the subscription first.
   *
   * @throws {TypeError} If an option is missing, unknown or malformed, an event class is not in `events`, or this
   * broker has a subscription to the same group and type.
   * @throws {RangeError} If a number is out of range.
   * @throws {StoreError} If the store refuses, such as when a live consumer of the group has the same name.
   * @throws {BrokerClosedError} If the broker is closing or closed.
   */
  subscribe<K extends C>(
    events: OneOrMore<K>,
    handler: Handler<EventOf<K>>,
    options: SubscribeOptions<EventOf<K>> & { batch?: undefined },
  ): Promise<Subscription>;
  async subscribe<K extends C>(
    events: OneOrMore<K>,
    handler: Handler<EventOf<K>> | BatchHandler<EventOf<K>>,
    options: SubscribeOptions<EventOf<K>> & { batch?: BatchOptions | undefined },
  ): Promise<Subscription> {
    assertHandler("subscribe", handler, "(event, delivery) => …");
    const codecs = this.#engine.codecs.ofClasses(events);
    const settings = subscribeSettings(options, codecs.map(({ definition }) => definition));
    return await this.#engine.subscriptions.open(codecs, await this.#deliver(handler, settings), settings);
  }

  async #deliver(handler: unknown, { batch }: Settings): Promise<Deliver> {
    if (batch === undefined) return callHandler(handler as Handler<DomainEvent>, this.#engine.observers);
    // Loaded on demand, since few handlers take batches.
    const { deliverBatches } = await load(() => import("./consuming/batches/_batches.ts"));
    return deliverBatches(handler as BatchHandler<DomainEvent>, batch, this.#engine.observers);
  }

  /**
   * Pulls the events of a group one by one: call `ack()`, `nack()` or `release()` for each delivery. At most `prefetch`
   * deliveries of each type are unsettled at once. Leaving the loop releases unsettled deliveries, uncounted, and leaves the
   * group.
   *
   * Settle or release a delivery before the same code awaits `close` or `idle`. Closing waits for pulled deliveries up to
   * `drainTimeout`, and dispatches a `warning` after a second. The group is not idle before they are settled.
   *
   * @throws The same errors as `subscribe`: malformed options at once, the others when the first delivery is pulled.
   *
   * @example Handle one event
   * ```ts
   * import { defineEvent, InMemoryBroker } from "@tidings/broker";
   * import { assertEquals } from "@std/assert";
   *
   * class Greeted extends defineEvent("Greeted")<{ name: string }> {}
   *
   * await using broker = new InMemoryBroker({ events: [Greeted] });
   * await broker.publish(new Greeted({ name: "Ada" }));
   * for await (const delivery of broker.consume(Greeted, { group: "greeters" })) {
   *   assertEquals(delivery.event.detail.name, "Ada");
   *   await delivery.ack();
   *   break;
   * }
   * ```
   */
  consume<K extends C>(
    events: OneOrMore<K>,
    options: ConsumeOptions,
  ): AsyncGenerator<PulledDelivery<EventOf<K>>, void, void> {
    const codecs = this.#engine.codecs.ofClasses(events);
    const settings = consumeSettings(options, codecs.length);
    return pull<EventOf<K>>(
      (deliver) => this.#engine.subscriptions.open(codecs, deliver, settings),
      this.#engine.observers,
    );
  }

  /**
   * Publishes an event, and resolves with the reply: the first event of the class `reply` that is published in a handler of
   * the event, in any process, or that has the event's id as its `causationId` or `correlationId`. The reply is received by a
   * live listener: if this process ends, nobody receives it. For replies that must arrive, subscribe a group to them.
   *
   * @throws {DOMException} `"TimeoutError"` if no reply comes in time. The event may be handled all the same.
   * @throws {BrokerClosedError} If the broker begins to close.
   * @throws The errors of `publish`, and the reason of the signal.
   *
   * @example Ask for a price
   * ```ts
   * import { defineEvent, InMemoryBroker } from "@tidings/broker";
   * import { assertEquals } from "@std/assert";
   *
   * class PriceAsked extends defineEvent("PriceAsked")<{ lot: string }> {}
   * class PriceTold extends defineEvent("PriceTold")<{ price: number }> {}
   *
   * await using broker = new InMemoryBroker({ events: [PriceAsked, PriceTold] });
   * await broker.subscribe(PriceAsked, async () => {
   *   await broker.publish(new PriceTold({ price: 5 }));
   * }, { group: "prices" });
   * const { detail } = await broker.request(new PriceAsked({ lot: "lamp" }), { reply: PriceTold, timeout: 5_000 });
   * assertEquals(detail.price, 5);
   * ```
   */
  async request<R extends C>(event: EventOf<C>, options: RequestOptions<R>): Promise<EventOf<R>> {
    // Loaded on demand, since few programs ask.
    const { request, requestTimeout } = await load(() => import("./reading/_request.ts"));
    const timeout = requestTimeout(options);
    this.#engine.codecs.ofClass(options.reply);
    const requesting = {
      target: this,
      closing: this.#engine.closing.begun,
      attached: (reply: EventClass) => {
        const { stream } = this.#engine.codecs.ofClass(reply);
        const sharing = [...this.#engine.codecs].filter((codec) => codec.stream === stream);
        return this.#engine.tails.attached(new StreamCodec(sharing), this.#engine.layouts.of(stream));
      },
      publish: (event: DomainEvent, signal: AbortSignal) => this.publish(event as EventOf<C>, { signal }),
    };
    return await request(requesting, event, options, timeout) as EventOf<R>;
  }

  /**
   * Reads stored events, and changes no group. It reads page by page, up to the newest event at the time of this call.
   * Events of several types are merged by position. With `follow` it continues with new events, as they come. With
   * `subject` it reads the events of that subject by an index: the cost does not depend on the length of the stream.
   *
   * @throws {TypeError} If an option is unknown or malformed, or `subject` is given for a stream without revisions.
   * @throws {RangeError} If `limit` or `fromRevision` is out of range.
   * @throws {UndecodableError} If an entry is no event of its class: reading can continue `after` its position.
   * @throws {BrokerClosedError} If the broker has closed.
   */
  history<K extends C>(events: OneOrMore<K>, options: ReadOptions = {}): AsyncGenerator<EventOf<K>, void, void> {
    const codecs = this.#engine.codecs.ofClasses(events);
    return readEvents(
      this.#store,
      this.#engine.layouts,
      codecs,
      readRange("read history", options, this.#engine.closing.drained),
    );
  }

  /**
   * Calls a handler with stored events, in order, one at a time. It changes no group and counts no attempts. Resolves with
   * the number of events. Rejects with the error that the handler throws, and as `history` does.
   */
  async replay<K extends C>(
    events: OneOrMore<K>,
    handler: (event: EventOf<K>) => unknown,
    options: ReadOptions = {},
  ): Promise<number> {
    const codecs = this.#engine.codecs.ofClasses(events);
    assertHandler("replay to", handler, "(event) => …");
    const past = readEvents(
      this.#store,
      this.#engine.layouts,
      codecs,
      readRange("replay", options, this.#engine.closing.drained),
    );
    return await replayEvents(past, handler);
  }

  /**
   * Makes a group read again from `to`, in one step, also while it consumes. Deliveries at or after `to` are dropped: their
   * signals abort, and the store refuses to settle them. Resolves with the number of dropped deliveries, and with the first
   * position to read.
   *
   * @throws {RangeError} If there is no such group.
   */
  async rewind<K extends C>(
    event: K,
    options: { group: string; to: StartFrom },
  ): Promise<{ dropped: number; first: Position | undefined }> {
    const codec = this.#engine.codecs.ofClass(event);
    const rewound = await this.#engine.operator.rewind(codec, options);
    // This process learns at once which deliveries are lost, and others at their next claim or renewal.
    this.#engine.subscriptions.renew(options.group, codec.stream);
    return rewound;
  }

  /**
   * Pauses a group, in all processes, until `resume`: handlers that run are finished, and no other starts. Events that wait
   * stay in the store; those that consumers have read return to the group, uncounted and in order. It takes effect everywhere
   * within 100 ms, and lasts when all consumers end. Resolves with whether it changed anything: with false if the group was
   * paused already.
   *
   * @param options.reason Why, for `info()` and the event `pause`: at most 500 characters.
   * @throws {TypeError} If an option is unknown or malformed.
   * @throws {RangeError} If there is no such group, or the reason is too long.
   *
   * @example Pause while the bank is down
   * ```ts
   * import { defineEvent, InMemoryBroker } from "@tidings/broker";
   * import { assertEquals } from "@std/assert";
   *
   * class CardCharged extends defineEvent("CardCharged")<{ amount: number }> {}
   *
   * await using broker = new InMemoryBroker({ events: [CardCharged] });
   * const charged: number[] = [];
   * await broker.subscribe(CardCharged, (event) => void charged.push(event.detail.amount), { group: "payments" });
   *
   * await broker.pause(CardCharged, { group: "payments", reason: "The bank is down" });
   * await broker.publish(new CardCharged({ amount: 10 }));
   * const [group] = (await broker.info(CardCharged)).groups;
   * assertEquals([group?.paused?.reason, group?.lag, charged.length], ["The bank is down", 1, 0]);
   *
   * await broker.resume(CardCharged, { group: "payments" });
   * await broker.idle({ group: "payments" });
   * assertEquals(charged, [10]);
   * ```
   */
  async pause<K extends C>(event: K, options: { group: string; reason?: string }): Promise<boolean> {
    const codec = this.#engine.codecs.ofClass(event);
    const changed = await this.#engine.operator.pause(codec, options);
    await this.#engine.subscriptions.checkControl(options.group, codec.stream);
    return changed;
  }

  /**
   * Ends the pause of a group, in all processes, whoever has paused it: also one after failures in a row (`pauseAfter`).
   * Resolves with whether it changed anything. A subscription that is paused alone stays so.
   *
   * @throws {TypeError} If an option is unknown or malformed.
   * @throws {RangeError} If there is no such group.
   */
  async resume<K extends C>(event: K, options: { group: string }): Promise<boolean> {
    const codec = this.#engine.codecs.ofClass(event);
    const changed = await this.#engine.operator.resume(codec, options);
    await this.#engine.subscriptions.checkControl(options.group, codec.stream);
    return changed;
  }

  /**
   * The events of a class that were published with `delay` or `at`, and wait for their time, by that time. Their
   * `scheduledFor` tells it. It reads page by page; events that fall due meanwhile may be left out.
   *
   * @throws {TypeError} If an option is unknown or malformed.
   * @throws {UndecodableError} If one of them is no event of its class.
   */
  scheduled<K extends C>(event: K, options: ScheduledOptions = {}): AsyncGenerator<EventOf<K>, void, void> {
    const codec = this.#engine.codecs.ofClass(event);
    const range = checkScheduled(options);
    this.#engine.closing.assertUsable("list scheduled events");
    return this.#engine.operator.scheduled(codec, range) as AsyncGenerator<EventOf<K>, void, void>;
  }

  /**
   * Cancels an event that waits for its time. Resolves with true if it was in time: the event is not stored then. After a lost
   * reply a second call may resolve with false although the first one cancelled the event.
   */
  async unschedule<K extends C>(event: K, id: string): Promise<boolean> {
    return await this.#engine.operator.unschedule(this.#engine.codecs.ofClass(event), id);
  }

  /**
   * Changes the time of an event that waits for it. Resolves with true if it was still waiting.
   *
   * @throws {TypeError} Unless exactly one of `delay` and `at` is given.
   * @throws {RangeError} For a delay of more than 1,000 years, `NaN`, or a date after the year 9999.
   */
  async reschedule<K extends C>(event: K, id: string, due: Due): Promise<boolean> {
    return await this.#engine.operator.reschedule(
      this.#engine.codecs.ofClass(event),
      id,
      checkDue("reschedule an event", due),
    );
  }

  /**
   * Publishes an event again and again: by a cron pattern in a time zone, or each `every` milliseconds. The schedule is kept in
   * the store under its name, for all processes: each tick is published once, by one of the brokers that have called this and
   * are open, and by another one if that broker dies. Calling it again with the same rule changes nothing but the factory; with
   * another rule it changes the schedule, which begins anew, in all processes. The clock is that of the store.
   *
   * @param factory Makes the event of a tick. If it throws, an `error` event is dispatched, and it is called again a second
   * later. The encoded event has at most about 60 KiB.
   * @param options.missed What to do with ticks that were missed. By default `"once"`.
   * @throws {TypeError} If an argument is malformed.
   * @throws {RangeError} If the pattern or the time zone is unknown, or the period is out of range.
   * @throws {BrokerClosedError} If the broker is closing or closed.
   *
   * @example A report each working day
   * ```ts
   * import { defineEvent, InMemoryBroker } from "@tidings/broker";
   * import { assert, assertEquals } from "@std/assert";
   *
   * class ReportDue extends defineEvent("ReportDue")<{ day: string }> {}
   *
   * await using broker = new InMemoryBroker({ events: [ReportDue] });
   * await broker.schedule(
   *   "report",
   *   { cron: "0 9 * * 1-5", timezone: "Europe/Berlin" },
   *   ({ time }) => new ReportDue({ day: time.toISOString().slice(0, 10) }),
   * );
   * const [schedule] = await broker.schedules();
   * assertEquals([schedule?.name, schedule?.published], ["report", 0]);
   * assert(await broker.removeSchedule("report"));
   * ```
   */
  async schedule(
    name: string,
    rule: ScheduleRule,
    factory: (tick: { readonly name: string; readonly time: Date }) => EventOf<C> | Promise<EventOf<C>>,
    options: { missed?: MissedTicks } = {},
  ): Promise<void> {
    checkKeys("schedule events", options, ["missed"]);
    const { missed = "once" } = options;
    if (missed !== "skip" && missed !== "once" && missed !== "all") {
      throw new TypeError(`Cannot schedule events with missed ${show(missed)}: give "skip", "once" or "all"`);
    }
    assertScheduleName(name);
    const checked = checkRule(name, rule);
    assertHandler("schedule", factory, "({ name, time }) => event");
    this.#engine.closing.assertOpen("schedule events");
    await (await this.#engine.repeater()).add(name, checked, missed, factory);
  }

  /** Removes a schedule for good, in all processes. Resolves with false if there is none of that name. */
  async removeSchedule(name: string): Promise<boolean> {
    assertScheduleName(name);
    this.#engine.closing.assertUsable("remove a schedule");
    return await (await this.#engine.repeater()).remove(name);
  }

  /** The schedules of all brokers over the store. */
  async schedules(): Promise<ScheduleInfo[]> {
    this.#engine.closing.assertUsable("list the schedules");
    return await (await this.#engine.repeater()).list();
  }

  /**
   * Changes how often handlers of a group start, in all processes, while they run: it replaces the option `rate` of all
   * subscriptions until it is set to undefined, and lasts when all processes end. Keys of `by` keep their limits apart. Resolves
   * with whether it changed anything.
   *
   * @throws {TypeError} If an option is unknown or malformed.
   * @throws {RangeError} If there is no such group, or a number is out of range.
   */
  async setRate<K extends C>(
    event: K,
    options: { group: string; rate: { limit: number; per: number; burst?: number } | undefined },
  ): Promise<boolean> {
    const codec = this.#engine.codecs.ofClass(event);
    const changed = await this.#engine.operator.setRate(codec, options);
    await this.#engine.subscriptions.checkControl(options.group, codec.stream);
    return changed;
  }

  /** The state of a stream and of its groups. */
  async info<K extends C>(event: K): Promise<StreamInfo> {
    return await this.#engine.operator.info(this.#engine.codecs.ofClass(event));
  }

  /**
   * Whether this broker can do its work now: whether the store answers and takes events, and whether each subscription
   * reads, renews its lease and makes progress. It asks the store at most five times a second, writes nothing, and answers
   * within about 20 ms, also when the store does not.
   *
   * @throws {TypeError} If an option is unknown.
   * @throws {RangeError} If `stalledAfter` is no number of at least 0.
   */
  async health(options: HealthOptions = {}): Promise<BrokerHealth> {
    return await this.#engine.health.report(options);
  }

  /**
   * Reads the dead letters of a group, the oldest first.
   *
   * @throws {RangeError} If there is no such group.
   */
  deadLetters<K extends C>(
    event: K,
    options: { group: string; signal?: AbortSignal },
  ): AsyncGenerator<DeadLetter<EventOf<K>>, void, void> {
    return this.#engine.operator.deadLetters(this.#engine.codecs.ofClass(event), options);
  }

  /**
   * Returns dead letters to their own group, with attempts at zero: all of them, or those with these `ids`. Resolves with
   * their number; with `dryRun` it only counts them.
   *
   * @throws {RangeError} If there is no such group.
   */
  async redrive<K extends C>(event: K, options: RedriveOptions): Promise<number> {
    return await this.#engine.operator.redrive(this.#engine.codecs.ofClass(event), options);
  }

  /**
   * Removes dead letters of a group for good: all of them, those with these `ids`, or those beyond `maxAge` or `maxLength`.
   * Resolves with their number; with `dryRun` it only counts them.
   *
   * @throws {RangeError} If there is no such group, or a bound is out of range.
   */
  async discardDeadLetters<K extends C>(event: K, options: DiscardDeadLettersOptions): Promise<number> {
    return await this.#engine.operator.discard(this.#engine.codecs.ofClass(event), options);
  }

  /**
   * Resolves when groups have caught up: each of them has acknowledged every stored event of the broker's classes, or keeps
   * it as a dead letter or behind one.
   *
   * @throws {RangeError} If none of the broker's event classes has such a group.
   * @throws {TypeError} If it is called inside a handler of such a group: the group is not idle before the handler ends.
   * @throws {BrokerClosedError} If the broker begins to close.
   */
  async idle(options: IdleOptions = {}): Promise<void> {
    await this.#engine.idleWaits.wait(this.#engine.codecs.streams, options);
  }

  /**
   * Deletes a group for good, with its position and its dead letters. Subscriptions to the group end with an error.
   *
   * @param options.force Deletes the group even if it has live consumers, unsettled deliveries or dead letters. By default
   * false.
   * @throws {StoreError} If the group has any of those and `force` is not set.
   */
  async deleteGroup<K extends C>(event: K, options: { group: string; force?: boolean }): Promise<void> {
    await this.#engine.operator.deleteGroup(this.#engine.codecs.ofClass(event), options);
  }

  /**
   * Changes the event types that a group of a shared stream is for, and its `whenDead` if that is given, in one step. Events
   * that the group has settled stay settled; events of types that are no longer among them are settled unseen. With
   * `whenDead: "continue"` waiting events return to the group; with `"hold-key"` later dead letters hold their keys.
   *
   * @param events The classes of one stream that the group is for from now on.
   * @param options.assignment Who reads the partitions of the stream from now on, as in `SubscribeOptions`. By default that
   * stays as it is.
   * @param options.whenDead What the group does from now on with later events of a key whose event became a dead letter, as
   * in `SubscribeOptions`. By default that stays as it is.
   * @throws {TypeError} If the classes are of several streams, or for an `assignment` without partitions.
   * @throws {RangeError} If there is no such group.
   * @throws {StoreError} `"group-busy"` if the group has live consumers, which know the former types and `whenDead` only.
   */
  async alterGroup<K extends C>(
    events: OneOrMore<K>,
    options: { group: string; assignment?: "exclusive" | "shared"; whenDead?: "continue" | "hold-key" },
  ): Promise<void> {
    await this.#engine.operator.alterGroup(this.#engine.codecs.ofClasses(events), options);
  }

  /**
   * Changes the number of partitions of a stream, while this and other brokers publish and consume. The order of each
   * subject is kept, and nothing is lost or doubled. The change is announced 1.5 seconds before; then publishes wait for
   * some milliseconds. A group handles events of the new partitions once it has settled all events from before. Afterwards
   * start brokers with the new number in `streams`. Call it again if it fails: it goes on where it ended. If its process
   * dies, another broker of the stream ends the change some seconds later, if its user of the store may do that.
   *
   * @param events One or more classes of the stream.
   * @param options.partitions How many partitions the stream gets, from 1 to 1,024.
   * @param options.signal Ends the call: the promise rejects with the signal's reason. The change may still be made.
   * @throws {TypeError} If the classes are of several streams, or one of them takes no subject from its detail.
   * @throws {RangeError} If `partitions` is out of range.
   * @throws {StoreError} `"partitions-differ"` if another call changes the number to another one; `"group-busy"` if a group
   * waits for consumers that know a newer version of an event, or if its events wait behind dead letters of their keys.
   */
  async repartition<K extends C>(
    events: OneOrMore<K>,
    options: { partitions: number; signal?: AbortSignal },
  ): Promise<void> {
    await this.#engine.operator.repartition(this.#engine.codecs.ofClasses(events), options);
  }

  /**
   * Listens live to events that any process publishes from now on: best effort, while the listener is attached. Listens to
   * lifecycle events of the broker, too. An error that a listener throws becomes an `error` event.
   */
  override addEventListener<T extends keyof EventMap<C>>(
    type: T,
    listener: EventListenerOf<EventMap<C>[T], this>,
    options?: boolean | AddEventListenerOptions,
  ): void {
    this.#listeners.add(type as string, listener as EventListener | null, options);
  }

  /** Removes a listener. */
  override removeEventListener<T extends keyof EventMap<C>>(
    type: T,
    listener: EventListenerOf<EventMap<C>[T], this>,
    options?: boolean | EventListenerOptions,
  ): void {
    this.#listeners.remove(type as string, listener as EventListener | null, options);
  }

  #listenersChanged(type: string): void {
    const codec = this.#engine.codecs.ofType(type);
    if (codec === undefined || this.#engine.closing.hasBegun) return;
    const sharing = [...this.#engine.codecs].filter(({ stream }) => stream === codec.stream);
    const listened = sharing.some(({ definition }) => this.#listeners.has(definition.type));
    const attached = this.#engine.tails.follow(
      new StreamCodec(sharing),
      this.#engine.layouts.of(codec.stream),
      listened,
    );
    // Publishing waits until the tail knows where it begins, so that a listener receives every event that is published
    // after addEventListener.
    for (const [stream, known] of attached) this.#engine.publisher.holdUntil(stream, known);
  }

  /**
   * Adds an observer, which follows what this broker does until the result is disposed. Work that has already begun keeps
   * the observers that it began with. Without observers there is no cost.
   *
   * @throws {TypeError} If the observer is no object, or one of its methods is no function.
   */
  observe(observer: BrokerObserver): Disposable {
    return this.#engine.observers.add(observer);
  }

  /**
   * Closes the broker: subscriptions drain, publishes get their replies, and the store is disposed. Calling it again gives
   * the same promise. Inside a handler of this broker it resolves at once, as `Subscription.close` does.
   *
   * Closing ends even if the store does not reply: after `drainTimeout`, and up to 15 seconds for each part.
   *
   * @throws {Error} If a part could not be closed cleanly, such as when the store does not reply. The broker is closed all
   * the same.
   */
  close(): Promise<void> {
    return this.#engine.closing.close();
  }

  /** The same as `close`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/** Checks the keys of the options of `publish`. Returns when the events are due, if they are published later. */
function checkPublish(options: PublishOptions | ScheduleOptions): When | undefined {
  checkKeys("publish", options, ["expected", "delay", "at", "signal"]);
  const { expected, delay, at } = options as PublishOptions & Partial<ScheduleOptions>;
  if (delay === undefined && at === undefined) return undefined;
  if (expected === undefined) return checkDue("publish", { delay, at } as Due);
  throw new TypeError(
    "Cannot publish with expected and a time: the revision would be compared before that time; leave one of them out, and " +
      "publish with expected in a handler of the scheduled event",
  );
}

function assertHandler(action: string, handler: unknown, shape: string): void {
  if (typeof handler === "function") return;
  throw new TypeError(`Cannot ${action} ${show(handler)}: the handler must be a function ${shape}`);
}
