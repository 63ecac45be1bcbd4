import {
  type Attributes,
  type BatchObservableResult,
  diag,
  type Meter,
  type ObservableGauge,
} from "@opentelemetry/api";
import type { EventBroker, GroupInfo, HealthOptions, PartitionInfo, StreamInfo } from "../broker/mod.ts";
import { definitionOf } from "../events/_definition.ts";
import type { EventClass } from "../events/mod.ts";
import { DESTINATION, GROUP, PARTITION } from "./_attributes.ts";

// How long the collection of metrics waits for the store, in milliseconds.
const INFO_TIMEOUT = 2_000;

/** A gauge without a value is not observed. */
type Gauge<Info> = readonly [
  name: string,
  unit: string,
  description: string,
  valueOf: (info: Info) => number | undefined,
];

// A flag has no unit: with the unit "1", its name in Prometheus would end with `_ratio`.
const FLAG = "";

const STREAM_GAUGES: readonly Gauge<StreamInfo>[] = [
  ["tidings.stream.length", "{event}", "Events that the stream holds.", ({ length }) => length],
  ["tidings.stream.size", "By", "Bytes that the stream takes, as the store measures them.", ({ bytes }) => bytes],
  [
    "tidings.scheduled.waiting",
    "{event}",
    "Events that wait for their time.",
    ({ scheduled }) => scheduled.waiting,
  ],
  [
    "tidings.stream.pinned",
    FLAG,
    "1 while a group keeps overdue events from being removed, else 0.",
    ({ pinnedBy }) => pinnedBy === undefined ? 0 : 1,
  ],
];

const GROUP_GAUGES: readonly Gauge<GroupInfo>[] = [
  ["tidings.group.lag", "{event}", "Events that the group has not read.", ({ lag }) => lag],
  [
    "tidings.group.lag.exact",
    FLAG,
    "1 when the lag is exact, 0 when it is a lower bound.",
    ({ lagIsExact }) => lagIsExact ? 1 : 0,
  ],
  [
    "tidings.group.oldest.age",
    "s",
    "Age of the oldest event that the group has not read or not settled; 0 when there is none.",
    ({ oldestUnsettled }) => ageOf(oldestUnsettled),
  ],
  ["tidings.group.pending", "{event}", "Events that the group has read and not settled.", ({ pending }) => pending],
  ["tidings.group.in_flight", "{event}", "Events that consumers hold.", ({ consumers }) => sumOfPending(consumers)],
  ["tidings.group.retrying", "{event}", "Events that wait for their next attempt.", ({ retrying }) => retrying],
  [
    "tidings.group.deferred",
    "{event}",
    "Events of newer versions, which wait for a consumer that knows them.",
    ({ deferred }) => sumOfPending(deferred),
  ],
  [
    "tidings.group.waiting",
    "{event}",
    "Events that wait in the store behind a dead letter of their key.",
    ({ held }) => held.waiting,
  ],
  ["tidings.group.held_keys", "{key}", "Keys whose events wait behind a dead letter.", ({ held }) => held.keys],
  ["tidings.group.paused", FLAG, "1 while the group is paused, else 0.", ({ paused }) => paused === undefined ? 0 : 1],
  [
    "tidings.group.consumers",
    "{consumer}",
    "Consumers that are alive.",
    ({ consumers }) => consumers.filter(({ alive }) => alive).length,
  ],
  ["tidings.dead_letters", "{event}", "Dead letters of the group.", ({ deadLetters }) => deadLetters],
  [
    "tidings.dead_letters.oldest.age",
    "s",
    "Time since the oldest dead letter of the group last failed; 0 when there is none.",
    ({ oldestDeadLetter }) => ageOf(oldestDeadLetter),
  ],
];

// Apart from those of streams and groups, so that sums over all series of a metric stay right.
const PARTITION_GAUGES: readonly Gauge<PartitionInfo>[] = [
  ["tidings.partition.length", "{event}", "Events that the partition holds.", ({ length }) => length],
  ["tidings.partition.size", "By", "Bytes that the partition takes, as the store measures them.", ({ bytes }) => bytes],
];

const PARTITION_GROUP_GAUGES: readonly Gauge<GroupInfo>[] = [
  ["tidings.partition.lag", "{event}", "Events of the partition that the group has not read.", ({ lag }) => lag],
  [
    "tidings.partition.pending",
    "{event}",
    "Events of the partition that the group has read and not settled.",
    ({ pending }) => pending,
  ],
  [
    "tidings.partition.oldest.age",
    "s",
    "Age of the oldest event of the partition that the group has not read or not settled; 0 when there is none.",
    ({ oldestUnsettled }) => ageOf(oldestUnsettled),
  ],
  [
    "tidings.partition.consumers",
    "{consumer}",
    "Consumers of the group that read the partition.",
    ({ consumers }) => consumers.filter(({ alive }) => alive).length,
  ],
];

const READY = ["tidings.broker.ready", FLAG, "1 while health() finds no problem, else 0."] as const;
const UP = ["tidings.store.up", FLAG, "1 while the store answers and takes events, else 0."] as const;

function ageOf(time: Date | undefined): number {
  return time === undefined ? 0 : Math.max(0, Date.now() - time.getTime()) / 1_000;
}

function sumOfPending(parts: readonly { readonly pending: number }[]): number {
  return parts.reduce((sum, { pending }) => sum + pending, 0);
}

/** How to observe the state of a broker. */
export interface StateOptions {
  /** Attributes of every measurement. */
  readonly attributes: Attributes;
  /** How to judge whether the broker is ready. */
  readonly health: HealthOptions;
  /** Is called with each type and group that the broker is subscribed to. */
  readonly consumes: (eventType: string, group: string) => void;
}

/**
 * Observes the state of the broker's streams and groups whenever metrics are collected.
 *
 * @returns Ends the observing.
 */
export function observeState<C extends EventClass>(
  meter: Meter,
  broker: EventBroker<C>,
  { attributes, health: judging, consumes }: StateOptions,
): () => void {
  const gauges: ObservableGauge[] = [];
  const gauge = (name: string, unit: string, description: string) => {
    const made = meter.createObservableGauge(name, { unit, description });
    gauges.push(made);
    return made;
  };
  const made = <Info>(definitions: readonly Gauge<Info>[]) =>
    definitions.map(([name, unit, description, of]) => [gauge(name, unit, description), of] as const);
  const [streams, groups] = [made(STREAM_GAUGES), made(GROUP_GAUGES)];
  const [partitions, groupsOfPartitions] = [made(PARTITION_GAUGES), made(PARTITION_GROUP_GAUGES)];
  const [ready, up] = [gauge(...READY), gauge(...UP)];
  const infoOf = questions(broker);
  // Classes that share a stream have one state.
  const classes = [...new Map(broker.events.map((event) => [definitionOf(event).stream, event])).values()];

  let isClosed = false;
  const noteClosed = () => void (isClosed = true);
  broker.addEventListener("close", noteClosed);

  const observe = async (result: BatchObservableResult) => {
    // A closed broker asks its store no more: the state of the store is unknown, and not that of the last answer.
    if (isClosed) return result.observe(ready, 0, attributes);
    const health = await broker.health(judging);
    for (const { group, types } of health.subscriptions) {
      for (const { eventType } of types) consumes(eventType, group);
    }
    result.observe(ready, health.ready ? 1 : 0, attributes);
    result.observe(up, health.store.state === "connected" ? 1 : 0, attributes);
    // While the store is away its state is unknown, which `tidings.store.up` tells.
    if (health.store.state === "unreachable") return;
    await inTime(classes.map(async (event) => {
      const info = await infoOf(event);
      if (info === undefined) return;
      const place = { ...attributes, [DESTINATION]: info.stream };
      observeAll(result, streams, info, place);
      for (const group of info.groups) observeAll(result, groups, group, { ...place, [GROUP]: group.name });
      for (const part of info.partitions ?? []) {
        const partPlace = { ...place, [PARTITION]: part.partition ?? "none" };
        observeAll(result, partitions, part, partPlace);
        for (const group of part.groups) {
          observeAll(result, groupsOfPartitions, group, { ...partPlace, [GROUP]: group.name });
        }
      }
    }));
  };
  meter.addBatchObservableCallback(observe, gauges);
  return () => {
    broker.removeEventListener("close", noteClosed);
    meter.removeBatchObservableCallback(observe, gauges);
  };
}

function observeAll<Info>(
  result: BatchObservableResult,
  gauges: readonly (readonly [ObservableGauge, Gauge<Info>[3]])[],
  info: Info,
  place: Attributes,
): void {
  for (const [gauge, valueOf] of gauges) {
    const value = valueOf(info);
    if (value !== undefined) result.observe(gauge, value, place);
  }
}

/** Asks a broker about its streams; about each only once at a time, so that questions to a slow store do not pile up. */
function questions<C extends EventClass>(broker: EventBroker<C>): (event: C) => Promise<StreamInfo | undefined> {
  const asked = new Map<C, Promise<StreamInfo | undefined>>();
  const ask = async (event: C) => {
    try {
      return await broker.info(event);
    } catch (error) {
      diag.error(`Cannot observe the stream of ${event.type}`, error);
      return undefined;
    }
  };
  return (event) => {
    let answer = asked.get(event);
    if (answer === undefined) {
      answer = ask(event).finally(() => asked.delete(event));
      asked.set(event, answer);
    }
    return answer;
  };
}

/** Waits until all streams are observed, but not for long: the collection does not take later values. */
async function inTime(observed: readonly Promise<void>[]): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<void>((resolve) => timer = setTimeout(resolve, INFO_TIMEOUT));
  await Promise.race([Promise.all(observed), late]);
  clearTimeout(timer);
}
