import type { Attributes, BatchObservableResult, Counter, Histogram, Meter, ObservableGauge } from "@opentelemetry/api";
import {
  type BrokerObserver,
  DeadLetterEvent,
  DeferredEvent,
  type Delivery,
  DeliveryEvent,
  EntriesLostEvent,
  type EventBroker,
  type GroupInfo,
  GroupLostEvent,
  type HandlerObservation,
  type LifecycleSource,
  type Operation,
  type OperationObservation,
  type PublishObservation,
  RetryEvent,
  type SettlingBatch,
  type SettlingObservation,
  type StreamInfo,
} from "../broker/mod.ts";
import type { DomainEvent, EventClass } from "../events/mod.ts";
import { destination, type ErrorTypes, operation, SYSTEM } from "./_attributes.ts";

/** Upper bounds of buckets, in seconds: those that the semantic conventions advise for messaging. */
const SECONDS = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10];
/** The same for times that may include days in the stream. */
const LONG_SECONDS = [...SECONDS, 30, 60, 300, 1_800, 3_600, 21_600, 86_400];
// A store that gives no answer must not hold up whoever collects metrics, in milliseconds.
const INFO_TIMEOUT = 2_000;

/** Counts what a broker does. */
export class Counting implements BrokerObserver {
  #errorTypes: ErrorTypes;
  #attributes: Attributes;
  #byPlace = new Map<string, Attributes>();
  #operationDuration: Histogram;
  #processDuration: Histogram;
  #sent: Counter;
  #consumed: Counter;
  #latency: Histogram;
  #events: Record<EventCounter, Counter>;
  #leasesLost: Counter;
  #groupsLost: Counter;
  #reconnects: Counter;

  constructor(meter: Meter, errorTypes: ErrorTypes, attributes: Attributes) {
    this.#errorTypes = errorTypes;
    this.#attributes = attributes;
    const histogram = (name: string, description: string, explicitBucketBoundaries: number[]) =>
      meter.createHistogram(name, { description, unit: "s", advice: { explicitBucketBoundaries } });
    const counter = (name: string, description: string, unit: string) =>
      meter.createCounter(name, { description, unit });
    this.#operationDuration = histogram(
      "messaging.client.operation.duration",
      "Duration of messaging operation initiated by a producer or consumer client.",
      SECONDS,
    );
    this.#processDuration = histogram("messaging.process.duration", "Duration of processing operation.", SECONDS);
    this.#latency = histogram(
      "tidings.event.latency",
      "Time from when the store took an event until a handler had handled it.",
      LONG_SECONDS,
    );
    this.#sent = counter(
      "messaging.client.sent.messages",
      "Number of messages producer attempted to send to the broker.",
      "{message}",
    );
    this.#consumed = counter(
      "messaging.client.consumed.messages",
      "Number of messages that were delivered to the application.",
      "{message}",
    );
    this.#events = Object.fromEntries(
      Object.entries(EVENT_COUNTERS).map((
        [name, description],
      ) => [name, counter(`tidings.events.${name}`, description, "{event}")]),
    ) as Record<EventCounter, Counter>;
    this.#leasesLost = counter(
      "tidings.leases.lost",
      "Deliveries that a consumer lost before it settled them.",
      "{delivery}",
    );
    this.#groupsLost = counter("tidings.groups.lost", "Groups that were lost and made again.", "{group}");
    this.#reconnects = counter("tidings.store.reconnects", "Failed attempts to reach the store.", "{attempt}");
  }

  publishing(events: readonly DomainEvent[]): PublishObservation {
    const start = performance.now();
    const counts = new Map<string, number>();
    for (const { type } of events) counts.set(type, (counts.get(type) ?? 0) + 1);
    return {
      ended: ({ error }) => {
        const failure = this.#failure(error);
        for (const [type, count] of counts) {
          const attributes = { ...this.#of(type), ...SEND, ...failure };
          this.#sent.add(count, attributes);
          this.#operationDuration.record(seconds(start), attributes);
          if (error === undefined) this.#events.published.add(count, this.#of(type));
        }
      },
    };
  }

  handling({ event: { type }, group, position }: Delivery, kind: "handler" | "pulled"): HandlerObservation {
    const start = performance.now();
    const place = this.#of(type, group);
    const does = kind === "handler" ? PROCESS : RECEIVE;
    this.#consumed.add(1, { ...place, ...does });
    return {
      ended: ({ outcome, error }) => {
        const failed = outcome === "retry" || outcome === "dead";
        const failure = failed ? { "error.type": this.#errorTypes.of(error) } : undefined;
        this.#processDuration.record(seconds(start), {
          ...place,
          ...does,
          ...failure,
          "tidings.delivery.outcome": outcome,
        });
        if (failed) this.#events.failed.add(1, { ...place, ...failure });
        else if (outcome === "ack") {
          this.#latency.record(Math.max(0, Date.now() - Number.parseInt(position)) / 1_000, place);
        }
      },
    };
  }

  settling({ eventType, group, outcomes }: SettlingBatch): SettlingObservation {
    const start = performance.now();
    return {
      ended: ({ error, refused }) => {
        const place = this.#of(eventType, group);
        this.#operationDuration.record(seconds(start), { ...place, ...SETTLE, ...this.#failure(error) });
        if (error !== undefined) return;
        const handled = outcomes.filter(({ outcome }) => outcome === "ack").length;
        if (handled > refused) this.#events.handled.add(handled - refused, place);
      },
    };
  }

  operating({ name, eventType, group }: Operation): OperationObservation {
    const start = performance.now();
    return {
      ended: ({ error, count }) => {
        const place = this.#of(eventType, group);
        this.#operationDuration.record(seconds(start), { ...place, ...operation(name), ...this.#failure(error) });
        const counter = COUNTED_OPERATIONS[name];
        if (counter !== undefined && count) this.#events[counter].add(count, place);
      },
    };
  }

  lifecycle(event: Event, { group }: LifecycleSource): void {
    if (event instanceof RetryEvent) this.#events.retried.add(1, this.#of(event.eventType, group));
    else if (event instanceof DeadLetterEvent) {
      this.#events.dead_lettered.add(1, {
        ...this.#of(event.eventType, group),
        "tidings.dead_letter.reason": event.reason,
      });
    } else if (event instanceof DeferredEvent) this.#events.deferred.add(1, this.#of(event.eventType, group));
    else if (event instanceof DeliveryEvent) {
      const place = this.#of(event.eventType, group);
      if (event.type === "recovered") this.#events.recovered.add(1, place);
      else this.#leasesLost.add(1, place);
    } else if (event instanceof EntriesLostEvent) {
      this.#events.lost.add(event.count ?? 1, this.#of(event.eventType, group));
    } else if (event instanceof GroupLostEvent) this.#groupsLost.add(1, this.#of(event.eventType, group));
    else if (event.type === "reconnect") {
      this.#reconnects.add(1, { ...this.#attributes, ...SYSTEM, ...(group !== undefined && { [GROUP]: group }) });
    }
  }

  #failure(error: unknown): Attributes | undefined {
    return error === undefined ? undefined : { "error.type": this.#errorTypes.of(error) };
  }

  /** The attributes of a type and a group: made once, because they are needed for each event. */
  #of(eventType: string, group?: string): Attributes {
    const key = `${eventType} ${group ?? ""}`;
    let attributes = this.#byPlace.get(key);
    if (attributes === undefined) {
      attributes = { ...this.#attributes, ...destination(eventType), ...(group !== undefined && { [GROUP]: group }) };
      this.#byPlace.set(key, attributes);
    }
    return attributes;
  }
}

const GROUP = "messaging.consumer.group.name";
const SEND = operation("send", "send");
const PROCESS = operation("process", "process");
const RECEIVE = operation("receive", "receive");
const SETTLE = operation("settle", "settle");

/** Totals of events, named `tidings.events.<name>`. */
const EVENT_COUNTERS = {
  published: "Events that the store has taken from publishers.",
  handled: "Events that a group has acknowledged.",
  failed: "Attempts to handle an event that failed.",
  retried: "Events that a group will get again after a failed attempt.",
  dead_lettered: "Events that became dead letters.",
  redriven: "Dead letters that were returned to their group.",
  discarded: "Dead letters that were discarded.",
  recovered: "Deliveries that came back from a consumer that died.",
  deferred: "Events of a newer version, which wait for a consumer that knows it.",
  trimmed: "Events that retention has removed.",
  lost: "Events that were removed before a group had settled them; at least so many.",
} as const;
type EventCounter = keyof typeof EVENT_COUNTERS;

const COUNTED_OPERATIONS: Partial<Record<Operation["name"], EventCounter>> = {
  redrive: "redriven",
  discard: "discarded",
  trim: "trimmed",
};

function seconds(start: number): number {
  return (performance.now() - start) / 1_000;
}

/** Gauges of one stream or group, named `tidings.<name>`. */
const STREAM_GAUGES = {
  "stream.length": ["{event}", "Events that the stream holds.", ({ length }: StreamInfo) => length],
  "stream.pinned": [
    "1",
    "1 while a group keeps overdue events from being removed.",
    ({ pinnedBy }: StreamInfo) => pinnedBy === undefined ? 0 : 1,
  ],
} as const;

const ageOf = (time: Date | undefined) => time === undefined ? 0 : Math.max(0, Date.now() - time.getTime()) / 1_000;

const GROUP_GAUGES = {
  "group.lag": ["{event}", "Events that the group has not read.", ({ lag }: GroupInfo) => lag],
  "group.lag.exact": [
    "1",
    "1 when the lag is exact, 0 when it is a lower bound.",
    ({ lagIsExact }: GroupInfo) => lagIsExact ? 1 : 0,
  ],
  "group.oldest.age": [
    "s",
    "Age of the oldest event that the group has not read or not settled; 0 when there is none.",
    ({ oldestUnsettled }: GroupInfo) => ageOf(oldestUnsettled),
  ],
  "group.pending": ["{event}", "Events that the group has read and not settled.", ({ pending }: GroupInfo) => pending],
  "group.in_flight": [
    "{event}",
    "Events that consumers hold.",
    ({ consumers }: GroupInfo) => consumers.reduce((sum, { pending }) => sum + pending, 0),
  ],
  "group.retrying": ["{event}", "Events that wait for their next attempt.", ({ retrying }: GroupInfo) => retrying],
  "group.deferred": [
    "{event}",
    "Events of newer versions, which wait for a consumer that knows them.",
    ({ deferred }: GroupInfo) => deferred.reduce((sum, { pending }) => sum + pending, 0),
  ],
  "group.consumers": [
    "{consumer}",
    "Consumers that are alive.",
    ({ consumers }: GroupInfo) => consumers.filter(({ alive }) => alive).length,
  ],
  "dead_letters": ["{event}", "Dead letters of the group.", ({ deadLetters }: GroupInfo) => deadLetters],
  "dead_letters.oldest.age": [
    "s",
    "Time since the oldest dead letter of the group last failed; 0 when there is none.",
    ({ oldestDeadLetter }: GroupInfo) => ageOf(oldestDeadLetter),
  ],
} as const;

/**
 * Observes the state of the broker's streams and groups whenever metrics are collected.
 *
 * @returns Ends the observing.
 */
export function observeState<C extends EventClass>(
  meter: Meter,
  broker: EventBroker<C>,
  attributes: Attributes,
): () => void {
  const gauge = (name: string, unit: string, description: string) =>
    meter.createObservableGauge(`tidings.${name}`, { unit, description });
  const streams = Object.entries(STREAM_GAUGES).map(([name, [unit, description, of]]) =>
    [gauge(name, unit, description), of] as const
  );
  const groups = Object.entries(GROUP_GAUGES).map(([name, [unit, description, of]]) =>
    [gauge(name, unit, description), of] as const
  );
  const ready = gauge("broker.ready", "1", "1 while health() finds no problem, else 0.");
  const up = gauge("store.up", "1", "1 while the store answers and takes events, else 0.");
  const gauges: ObservableGauge[] = [...streams, ...groups].map(([gauge]) => gauge).concat(ready, up);
  const observe = async (result: BatchObservableResult) => {
    const health = await broker.health();
    result.observe(ready, health.ready ? 1 : 0, { ...attributes, ...SYSTEM });
    result.observe(up, health.store.state === "connected" ? 1 : 0, { ...attributes, ...SYSTEM });
    // While the store is away there is no state to tell: `tidings.store.up` says so.
    if (health.store.state === "unreachable") return;
    await inTime(Promise.all(broker.events.map(async (event) => {
      const info = await broker.info(event);
      const place = { ...attributes, ...destination(info.type) };
      for (const [gauge, of] of streams) result.observe(gauge, of(info), place);
      for (const group of info.groups) {
        for (const [gauge, of] of groups) result.observe(gauge, of(group), { ...place, [GROUP]: group.name });
      }
    })));
  };
  meter.addBatchObservableCallback(observe, gauges);
  return () => meter.removeBatchObservableCallback(observe, gauges);
}

/** Waits until all is observed, but not for long: what is observed later counts for nothing. */
async function inTime(observed: Promise<unknown>): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<void>((resolve) => timer = setTimeout(resolve, INFO_TIMEOUT));
  // A store that fails meanwhile is what `tidings.store.up` tells next time.
  await Promise.race([observed.catch(() => {}), late]);
  clearTimeout(timer);
}
