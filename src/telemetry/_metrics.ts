import type { Attributes, Counter, Histogram, Meter } from "@opentelemetry/api";
import {
  type BrokerObserver,
  ConflictError,
  DeadLetterEvent,
  DeferredEvent,
  type Delivery,
  DeliveryEvent,
  EntriesLostEvent,
  GroupLostEvent,
  type HandlerObservation,
  HeldEvent,
  type LifecycleSource,
  type Operation,
  type OperationObservation,
  type PublishObservation,
  RebalanceEvent,
  RetryEvent,
  type SettlingBatch,
  type SettlingObservation,
} from "../broker/mod.ts";
import type { DomainEvent } from "../events/mod.ts";
import { isInstance } from "../events/_foreign.ts";
import { DESTINATION, type ErrorTypes, GROUP, operation, SYSTEM } from "./_attributes.ts";

/** Upper bounds of buckets, in seconds: those that the semantic conventions advise for messaging. */
const SECONDS = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10];
/** The same for times that may include days in the stream. */
const LONG_SECONDS = [...SECONDS, 30, 60, 300, 1_800, 3_600, 21_600, 86_400];

/** Counts what a broker does. */
export class Counting implements BrokerObserver {
  #errorTypes: ErrorTypes;
  #attributes: Attributes;
  #places = new Map<string, Place>();
  #operationDuration: Histogram;
  #processDuration: Histogram;
  #sent: Counter;
  #consumed: Counter;
  #latency: Histogram;
  #events: Record<EventCounter, Counter>;
  #leasesLost: Counter;
  #groupsLost: Counter;
  #rebalances: Counter;
  #reconnects: Counter;
  #conflicts: Counter;

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
    this.#rebalances = counter(
      "tidings.rebalances",
      "Times that a consumer got other partitions of a stream.",
      "{rebalance}",
    );
    this.#conflicts = counter(
      "tidings.publish.conflicts",
      "Publishes refused since their subject had another revision.",
      "{publish}",
    );
    this.#reconnects = counter("tidings.store.reconnects", "Failed attempts to reach the store.", "{attempt}");
  }

  /** Starts totals at zero: the increase of a total that begins with one is invisible. */
  begins(eventTypes: readonly string[]): void {
    this.#reconnects.add(0, this.#attributes);
    for (const type of eventTypes) {
      this.#events.published.add(0, this.#of(type).own);
      this.#conflicts.add(0, this.#of(type).own);
    }
  }

  /** Starts the totals of a group at zero. */
  consumes(eventType: string, group: string): void {
    const place = this.#of(eventType, group);
    if (place.consumed) return;
    place.consumed = true;
    for (const name of GROUP_COUNTERS) this.#events[name].add(0, place.own);
    for (const reason of DEAD_REASONS) this.#events.dead_lettered.add(0, { ...place.own, [REASON]: reason });
    this.#leasesLost.add(0, place.own);
    this.#groupsLost.add(0, place.own);
    this.#rebalances.add(0, place.own);
    this.#reconnects.add(0, { ...this.#attributes, [GROUP]: group });
  }

  publishing(events: readonly DomainEvent[]): PublishObservation {
    const start = performance.now();
    const counts = new Map<string, number>();
    for (const { type } of events) counts.set(type, (counts.get(type) ?? 0) + 1);
    return {
      ended: ({ error }) => {
        const failure = this.#failure(error);
        for (const [type, count] of counts) {
          const place = this.#of(type);
          this.#sent.add(count, failure === undefined ? place.sent : { ...place.sent, ...failure });
          this.#operationDuration.record(
            seconds(start),
            failure === undefined ? place.send : { ...place.send, ...failure },
          );
          if (error === undefined) this.#events.published.add(count, place.own);
        }
        // A publish counts once, with the type of its first event.
        if (events.length > 0 && isInstance(error, ConflictError)) {
          this.#conflicts.add(1, this.#of(events[0]!.type).own);
        }
      },
    };
  }

  handling(
    { event: { type }, group, position }: Delivery,
    kind: "handler" | "pulled" | "batch",
  ): HandlerObservation {
    const start = performance.now();
    const place = this.#of(type, group);
    const { begun, acknowledged } = place[kind === "pulled" ? "pulled" : "handler"];
    this.#consumed.add(1, begun);
    return {
      ended: ({ outcome, error }) => {
        const failed = outcome === "retry" || outcome === "dead";
        const failure = failed ? { "error.type": this.#errorTypes.of(error) } : undefined;
        this.#processDuration.record(
          seconds(start),
          outcome === "ack" ? acknowledged : { ...begun, ...failure, [OUTCOME]: outcome },
        );
        if (failed) this.#events.failed.add(1, { ...place.own, ...failure });
        else if (outcome === "ack") {
          this.#latency.record(Math.max(0, Date.now() - Number.parseInt(position)) / 1_000, place.own);
        }
      },
    };
  }

  settling({ eventType, group, outcomes }: SettlingBatch): SettlingObservation {
    const start = performance.now();
    return {
      ended: ({ error, refused }) => {
        const place = this.#of(eventType, group);
        this.#operationDuration.record(seconds(start), { ...place.settle, ...this.#failure(error) });
        if (error !== undefined) return;
        const lost = new Set(refused);
        for (const [name, kind] of [["handled", "ack"], ["skipped", "skip"]] as const) {
          const count = outcomes.filter(({ outcome, position }) => outcome === kind && !lost.has(position)).length;
          if (count > 0) this.#events[name].add(count, place.own);
        }
      },
    };
  }

  operating({ name, eventType, group }: Operation): OperationObservation {
    const start = performance.now();
    return {
      ended: ({ error, count }) => {
        const place = this.#of(eventType, group);
        this.#operationDuration.record(seconds(start), {
          ...SYSTEM,
          ...place.own,
          ...operation(name),
          ...this.#failure(error),
        });
        const counter = COUNTED_OPERATIONS[name];
        if (counter !== undefined && count) this.#events[counter].add(count, place.own);
      },
    };
  }

  lifecycle(event: Event, { group }: LifecycleSource): void {
    if (event.type === "reconnect") {
      this.#reconnects.add(1, { ...this.#attributes, ...(group !== undefined && { [GROUP]: group }) });
      return;
    }
    if (event instanceof RebalanceEvent) return this.#rebalances.add(1, this.#of(event.stream, group).own);
    const { eventType } = event as { eventType?: string };
    if (eventType === undefined) return;
    const { own } = this.#of(eventType, group);
    if (event instanceof RetryEvent) this.#events.retried.add(1, own);
    else if (event instanceof DeadLetterEvent) {
      this.#events.dead_lettered.add(1, { ...own, [REASON]: event.reason });
    } else if (event instanceof DeferredEvent) this.#events.deferred.add(1, own);
    else if (event instanceof HeldEvent) this.#events.held.add(1, own);
    else if (event instanceof DeliveryEvent) {
      if (event.type === "recovered") this.#events.recovered.add(1, own);
      else if (event.type === "expired") this.#events.expired.add(1, own);
      else this.#leasesLost.add(1, own);
    } else if (event instanceof EntriesLostEvent) this.#events.lost.add(event.count ?? 1, own);
    else if (event instanceof GroupLostEvent) this.#groupsLost.add(1, own);
  }

  #failure(error: unknown): Attributes | undefined {
    return error === undefined ? undefined : { "error.type": this.#errorTypes.of(error) };
  }

  /** The attributes of a type and a group: made once, because they are needed for each event. */
  #of(eventType: string, group?: string): Place {
    const key = `${eventType} ${group ?? ""}`;
    let place = this.#places.get(key);
    if (place === undefined) {
      const own = { ...this.#attributes, [DESTINATION]: eventType, ...(group !== undefined && { [GROUP]: group }) };
      const named = (name: string) => ({ ...SYSTEM, ...own, ...operation(name) });
      const timed = (name: "send" | "settle") => ({ ...SYSTEM, ...own, ...operation(name, name) });
      const attempt = (name: string) => ({ begun: named(name), acknowledged: { ...named(name), [OUTCOME]: "ack" } });
      place = {
        own,
        sent: named("send"),
        send: timed("send"),
        settle: timed("settle"),
        handler: attempt("process"),
        pulled: attempt("receive"),
        consumed: false,
      };
      this.#places.set(key, place);
    }
    return place;
  }
}

/** The attributes of a type, or of a type and a group. */
interface Place {
  /** For metrics whose names begin with `tidings`. */
  readonly own: Attributes;
  /** For the number of sent messages. */
  readonly sent: Attributes;
  /** For the durations of operations. */
  readonly send: Attributes;
  readonly settle: Attributes;
  /** For attempts: when they begin, and when they are acknowledged. */
  readonly handler: { readonly begun: Attributes; readonly acknowledged: Attributes };
  readonly pulled: { readonly begun: Attributes; readonly acknowledged: Attributes };
  /** Whether the totals of the group have begun. */
  consumed: boolean;
}

const OUTCOME = "tidings.delivery.outcome";
const REASON = "tidings.dead_letter.reason";
// A record, so that the compiler finds a reason that is missing.
const DEAD_REASONS = Object.keys(
  { attempts: 0, permanent: 0, undecodable: 0, died: 0, version: 0, held: 0, expired: 0 } satisfies Record<
    DeadLetterEvent["reason"],
    0
  >,
);

/** Totals of events, named `tidings.events.<name>`. */
const EVENT_COUNTERS = {
  published: "Events that the store has taken from publishers.",
  handled: "Events that a group has acknowledged.",
  skipped: "Events of other types of a shared stream, which a group has settled unseen.",
  failed: "Attempts to handle an event that failed.",
  retried: "Events that a group will get again after a failed attempt.",
  dead_lettered: "Events that became dead letters.",
  redriven: "Dead letters that were returned to their group.",
  discarded: "Dead letters that were discarded.",
  recovered: "Deliveries that came back from a consumer that died.",
  expired: "Events whose end was over before a handler began, settled without being handled.",
  deferred: "Events of a newer version, which wait for a consumer that knows it.",
  held: "Events that began to wait behind a dead letter of their key.",
  trimmed: "Events that retention has removed.",
  lost: "Events that were removed before a group had settled them; at least so many.",
} as const;
type EventCounter = keyof typeof EVENT_COUNTERS;

/** Totals of a group that have no further attribute. */
const GROUP_COUNTERS = ["handled", "skipped", "retried", "recovered", "expired", "deferred", "held", "lost"] as const;

const COUNTED_OPERATIONS: Partial<Record<Operation["name"], EventCounter>> = {
  redrive: "redriven",
  discard: "discarded",
  trim: "trimmed",
};

function seconds(start: number): number {
  return (performance.now() - start) / 1_000;
}
