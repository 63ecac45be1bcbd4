import type { EventStore } from "../store/mod.ts";
import type { EventClass } from "../events/mod.ts";
import { EventCodecs } from "./codec/_event_codecs.ts";
import { handling } from "./_causation.ts";
import { Closing } from "./_closing.ts";
import type { Listeners } from "./observing/_listeners.ts";
import { Observers } from "./observing/_observers.ts";
import { HealthMonitor } from "./operating/_health.ts";
import { IdleWaits } from "./operating/_idle.ts";
import { Operator } from "./operating/_operator.ts";
import { PublishQueue } from "./publishing/_publish_queue.ts";
import { Publisher } from "./publishing/_publisher.ts";
import type { Repeater } from "./repeating/_repeater.ts";
import type { BrokerSettings } from "./_settings.ts";
import { isTransient } from "./_store_retry.ts";
import { StreamLayouts } from "./partitions/_stream_layouts.ts";
import { Retention } from "./operating/_retention.ts";
import { Scheduling } from "./scheduling/_scheduling.ts";
import { Subscriptions } from "./consuming/_subscriptions.ts";
import { LiveTails } from "./reading/_live_tails.ts";
import { BrokerErrorEvent, ReconnectEvent, WarningEvent } from "./lifecycle_events.ts";
import { load } from "../store/_load.ts";

// How long closing waits for replies to publishes, in milliseconds. A publish without a reply then rejects.
const CLOSE_TIMEOUT = 10_000;

/** The broker that an engine works for. */
export interface EngineOwner {
  /** The listeners of the broker, which get errors that nobody awaits. */
  readonly listeners: Listeners;
  /** Dispatches an event to the listeners. */
  dispatch(event: Event): void;
}

/** The rooms of the engine, put together for one broker. */
export class Engine {
  readonly observers: Observers;
  readonly codecs: EventCodecs;
  readonly layouts: StreamLayouts;
  readonly publisher: Publisher;
  readonly scheduling: Scheduling;
  readonly subscriptions: Subscriptions;
  readonly tails: LiveTails;
  readonly operator: Operator;
  readonly retention: Retention;
  readonly idleWaits: IdleWaits;
  readonly health: HealthMonitor;
  readonly closing: Closing;
  #store: EventStore;
  #prefix: string;
  #repeater: Promise<Repeater> | undefined;
  #listeners: Listeners;
  #dispatch: (event: Event) => void;

  constructor(store: EventStore, settings: BrokerSettings<EventClass>, { listeners, dispatch }: EngineOwner) {
    this.#dispatch = dispatch;
    this.#store = store;
    this.#prefix = settings.prefix;
    this.#listeners = listeners;
    this.observers = new Observers((error) => listeners.report(error));
    const { publishTimeout, maxQueued, maxQueuedBytes, signal } = settings;
    this.closing = new Closing({
      signal,
      insideHandler: () => this.subscriptions.enclosing() !== undefined,
      drain: () => this.subscriptions.close(),
      steps: [
        () => this.tails.end(),
        () => this.scheduling.close(),
        async () => await (await this.#repeater)?.close(),
        () => this.publisher.close(CLOSE_TIMEOUT),
        () => this.retention.close(),
        () => store[Symbol.asyncDispose](),
      ],
      closed: () => this.tell(new Event("close")),
      failed: (error) => {
        // Without a listener, an error of closing must not end the process.
        if (listeners.has("error")) listeners.report(error);
      },
    });
    const { begun: closing, drained } = this.closing;
    const notTrimmed = (error: unknown) => isTransient(error) ? this.retrying(error, 0) : listeners.report(error);
    this.codecs = new EventCodecs(settings.events, settings.prefix, settings.encryption);
    const warn = (message: string) => this.tell(new WarningEvent(message));
    this.layouts = new StreamLayouts({
      store,
      codecs: this.codecs,
      streams: settings.streams,
      warn,
      ended: drained,
    });
    const admin = (stream: string) => this.layouts.admin(stream);
    this.retention = new Retention(store, this.layouts, this.observers, notTrimmed);
    for (const { definition: { type, retention }, stream } of this.codecs) {
      const kept = retention ?? settings.retention;
      // Of classes that share a stream, one may state its retention for all.
      if (kept === undefined || retention === undefined && this.retention.of(stream) !== undefined) continue;
      this.retention.keep(type, stream, kept);
    }
    this.publisher = new Publisher({
      store,
      publishTimeout,
      codecs: this.codecs,
      ...(!this.layouts.none && { layouts: this.layouts }),
      queue: new PublishQueue(maxQueued, maxQueuedBytes),
      retrying: (error, delay) => this.retrying(error, delay),
      appended: (stream, count, bytes) => this.retention.noted(stream, count, bytes),
      scheduled: (stream, layout, wait) => this.scheduling.note(stream, layout, wait),
    });
    this.scheduling = new Scheduling({
      store,
      streams: this.codecs.streams,
      layoutOf: (stream) => this.layouts.of(stream),
      retrying: (error, delay) => this.retrying(error, delay),
      failed: (error) => listeners.report(error),
      promoted: (stream, count, bytes) => this.retention.noted(stream, count, bytes),
    });
    this.subscriptions = new Subscriptions({
      store,
      layouts: this.layouts,
      observers: this.observers,
      closing,
      assertOpen: () => this.closing.assertOpen("subscribe"),
      report: (error) => listeners.report(error),
      consumed: (stream, count, bytes) => {
        this.retention.noted(stream, count, bytes);
        this.idleWaits.noted();
      },
      unreachable: (error) => this.health.noted(error),
      dispatch: (event) => this.tell(event),
      pauseGroup: (...pause) => this.operator.pauseFor(...pause),
      idle: (streams, options) => this.idleWaits.wait(streams, options),
    });
    this.idleWaits = new IdleWaits({
      admin,
      closing,
      groupsOf: (stream) => this.subscriptions.groupsOf(stream),
      enclosing: () => this.subscriptions.enclosing(),
      retrying: (error, delay) => this.retrying(error, delay),
    });
    this.operator = new Operator({
      store,
      admin,
      layouts: this.layouts,
      observers: this.observers,
      drained,
      retentionOf: (stream) => this.retention.of(stream),
      rescheduled: ({ stream, layout }, wait) => this.scheduling.note(stream, layout, wait),
      assertUsable: (action) => this.closing.assertUsable(action),
    });
    this.health = new HealthMonitor({
      admin,
      streams: new Map([...this.codecs].map(({ definition, stream }) => [definition.stream, stream])),
      closed: () => this.closing.hasBegun,
      subscriptions: () => this.subscriptions.watched(),
      unscheduled: () => this.scheduling.errors,
    });
    this.tails = new LiveTails(store, {
      listens: (type) => listeners.has(type),
      arrived: (event) => void handling({ event, delivery: undefined, outer: undefined }, () => dispatch(event)),
      failed: (error) => listeners.report(error),
      undecodable: (error) => this.tell(new BrokerErrorEvent(error, "undecodable")),
      retrying: (error, delay) => this.retrying(error, delay),
    });
  }

  /** The schedules of the broker, which are loaded on first use. */
  repeater(): Promise<Repeater> {
    return this.#repeater ??= load(() => import("./repeating/_repeater.ts")).then(({ Repeater }) =>
      new Repeater({
        store: this.#store,
        stream: `${this.#prefix}:schedules`,
        codecs: this.codecs,
        layoutOf: (stream) => this.layouts.of(stream),
        observed: (event, publish) => this.observers.active ? this.observers.publish([event], publish) : publish(),
        retrying: (error, delay) => this.retrying(error, delay),
        failed: (error) => this.#listeners.report(error),
        appended: (stream, count, bytes) => this.retention.noted(stream, count, bytes),
      })
    );
  }

  /** Dispatches a lifecycle event. */
  tell(event: Event): void {
    if (this.observers.active) this.observers.lifecycle(event, { group: undefined });
    this.#dispatch(event);
  }

  /** The store could not be reached; the next try comes after `delay` milliseconds. */
  retrying(error: unknown, delay: number): void {
    this.health.noted(error);
    this.tell(new ReconnectEvent(error, delay));
  }
}
