import type { Healed, Position, RemovedRange } from "../store/mod.ts";

/**
 * An error that no caller awaits. An `error` event without a listener is given to `reportError`, which by default ends the
 * process.
 */
export class BrokerErrorEvent extends Event {
  /** The error. */
  readonly error: unknown;

  /** Makes the event. */
  constructor(error: unknown, type: "error" | "undecodable" = "error") {
    super(type);
    this.error = error;
  }
}

/** The store could not be reached, and will be tried again after `delay` milliseconds. Nothing is lost meanwhile. */
export class ReconnectEvent extends Event {
  /** The error of this try. */
  readonly error: unknown;
  /** How long until the next try, in milliseconds. */
  readonly delay: number;

  /** Makes the event. */
  constructor(error: unknown, delay: number) {
    super("reconnect");
    this.error = error;
    this.delay = delay;
  }
}

/**
 * `subscribe` or `consume` waits until the lease of another consumer with its name has expired: it may be a dead
 * predecessor. It rejects if that consumer renews its lease.
 */
export class ConsumerWaitingEvent extends Event {
  /** The group to join. */
  readonly group: string;
  /** The name that is taken. */
  readonly consumer: string;
  /** The type of the events to consume. */
  readonly eventType: string;
  /** The consumer that has the name, by its name in the store: `<name>.<incarnation>`. */
  readonly holder: string;
  /** When the holder's lease expires, in milliseconds from now: the wait takes no longer. */
  readonly expiresIn: number;

  /** Makes the event. */
  constructor(group: string, consumer: string, eventType: string, holder: string, expiresIn: number) {
    super("waiting");
    this.group = group;
    this.consumer = consumer;
    this.eventType = eventType;
    this.holder = holder;
    this.expiresIn = expiresIn;
  }
}

/** An event about one delivery: `expired`, `recovered` or `leaselost`, or a subclass. */
export class DeliveryEvent extends Event {
  /** The type of the delivered event. */
  readonly eventType: string;
  /** The position of the delivered event in its stream. */
  readonly position: Position;

  /** Makes the event. */
  constructor(type: string, eventType: string, position: Position) {
    super(type);
    this.eventType = eventType;
    this.position = position;
  }
}

/** An attempt failed, and the event will be retried. */
export class RetryEvent extends DeliveryEvent {
  /** The attempt that failed, from 1. */
  readonly attempt: number;
  /** When the next attempt is due, in milliseconds from now. */
  readonly delay: number;
  /** The error of the attempt: the value that the handler threw, or an error of the schema, the keys or a timeout. */
  readonly error: unknown;

  /** Makes the event. */
  constructor(eventType: string, position: Position, attempt: number, delay: number, error: unknown) {
    super("retry", eventType, position);
    this.attempt = attempt;
    this.delay = delay;
    this.error = error;
  }
}

/** An event became a dead letter of the group. */
export class DeadLetterEvent extends DeliveryEvent {
  /** How many attempts were counted. */
  readonly attempts: number;
  /** Why it became a dead letter, as in `DeadLetter`. */
  readonly reason: string;
  /** The error of the last attempt. */
  readonly error: unknown;

  /** Makes the event. */
  constructor(eventType: string, position: Position, attempts: number, reason: string, error: unknown) {
    super("deadletter", eventType, position);
    this.attempts = attempts;
    this.reason = reason;
    this.error = error;
  }
}

/**
 * An event has a newer version than its class in this process. The group keeps it for a consumer that knows the version,
 * until `deferTimeout` is over.
 */
export class DeferredEvent extends DeliveryEvent {
  /** The version of the event. */
  readonly version: number;

  /** Makes the event. */
  constructor(eventType: string, position: Position, version: number) {
    super("deferred", eventType, position);
    this.version = version;
  }
}

/**
 * An event waits in the store, because an earlier event of its key is a dead letter and the group has `whenDead: "hold-key"`.
 * It comes back once that letter is redriven or discarded.
 */
export class HeldEvent extends DeliveryEvent {
  /** The key of the event. */
  readonly key: string;

  /** Makes the event. */
  constructor(eventType: string, position: Position, key: string) {
    super("held", eventType, position);
    this.key = key;
  }
}

/**
 * Entries were removed from the stream before this group had read or settled them, so they are lost to the group. Another
 * program deleted them, or trimmed the stream without regard to groups.
 */
export class EntriesLostEvent extends Event {
  /** The type of the lost events. */
  readonly eventType: string;
  /** Positions of the lost deliveries; empty when the entries were removed before the group read them. */
  readonly positions: readonly Position[];
  /** The lowest position that may be lost. */
  readonly from: Position;
  /** The highest position that may be lost. */
  readonly to: Position;
  /** How many events are lost; undefined when the store cannot tell. */
  readonly count: number | undefined;

  /** Makes the event. */
  constructor(eventType: string, { from, to, count }: RemovedRange, positions: readonly Position[] = []) {
    super("entrieslost");
    this.eventType = eventType;
    this.positions = positions;
    this.from = from;
    this.to = to;
    this.count = count;
  }
}

/** Another program deleted the group or its stream. The group was made again, and delivery continues. */
export class GroupLostEvent extends Event {
  /** The type of the group's events. */
  readonly eventType: string;
  /** The first position that the group reads now; undefined when the stream is new and empty. */
  readonly from: Position | undefined;
  /** Whether events that were settled before may be delivered again. */
  readonly mayRepeat: boolean;

  /** Makes the event. */
  constructor(eventType: string, { from, mayRepeat }: Healed) {
    super("grouplost");
    this.eventType = eventType;
    this.from = from;
    this.mayRepeat = mayRepeat;
  }
}

/**
 * The plan of a group gives this subscription other partitions of a stream than before, because consumers came or left.
 * Dispatched before the first delivery of a gained partition. Those deliveries of a lost partition whose handlers run are
 * finished first; then another consumer takes over.
 */
export class RebalanceEvent extends Event {
  /** The name of the stream. */
  readonly stream: string;
  /** The partitions that this subscription is to have from now on, in ascending order. */
  readonly assigned: readonly number[];
  /** Those of them that it did not have before. */
  readonly gained: readonly number[];
  /** The partitions that it leaves to other consumers. */
  readonly lost: readonly number[];

  /** Makes the event. */
  constructor(stream: string, assigned: readonly number[], gained: readonly number[], lost: readonly number[]) {
    super("rebalance");
    this.stream = stream;
    this.assigned = assigned;
    this.gained = gained;
    this.lost = lost;
  }
}

/**
 * The consumers of a subscription start no handlers from now on. Handlers that run are finished; events that wait stay in the
 * store. Dispatched on the subscription and on its broker, also when a subscription begins while its group is paused.
 */
export class PauseEvent extends Event {
  /** The group. */
  readonly group: string;
  /** The type of its events, or the name of the stream that several types share. */
  readonly eventType: string;
  /** Whether the group is paused, in all processes, or this subscription alone. */
  readonly scope: "group" | "consumer";
  /** Since when, by the clock of the store. */
  readonly since: Date;
  /** When the pause ends by itself, as after failures in a row; undefined if it lasts until `resume`. */
  readonly until: Date | undefined;
  /** The reason that was given. */
  readonly reason: string | undefined;

  /** Makes the event. */
  constructor(
    group: string,
    eventType: string,
    { scope, since, until, reason }: Pick<PauseEvent, "scope" | "since" | "until" | "reason">,
  ) {
    super("pause");
    this.group = group;
    this.eventType = eventType;
    this.scope = scope;
    this.since = since;
    this.until = until;
    this.reason = reason;
  }
}

/** A pause is over: the subscription goes on. */
export class ResumeEvent extends Event {
  /** The group. */
  readonly group: string;
  /** The type of its events, or the name of the stream that several types share. */
  readonly eventType: string;
  /** Whether the group was paused, or this subscription alone. */
  readonly scope: "group" | "consumer";

  /** Makes the event. */
  constructor(group: string, eventType: string, scope: "group" | "consumer") {
    super("resume");
    this.group = group;
    this.eventType = eventType;
    this.scope = scope;
  }
}

/** Something works now, but may not do what its users expect. */
export class WarningEvent extends Event {
  /** The problem, and the way out. */
  readonly message: string;

  /** Makes the event. */
  constructor(message: string) {
    super("warning");
    this.message = message;
  }
}

/** The lifecycle events of a broker, by type. */
export interface BrokerEventMap {
  /** An error that no caller awaits, such as one that a live listener has thrown. */
  error: BrokerErrorEvent;
  /** The store could not be reached, and will be tried again. */
  reconnect: ReconnectEvent;
  /** A stream with live listeners has an entry that is no event of its class. The listeners do not receive it. */
  undecodable: BrokerErrorEvent;
  /**
   * The store works, but with weaker guarantees than its users may expect: dispatched once, right after the broker was
   * made. Or closing waits for deliveries that were pulled and are not settled. Or a partition has an event that belongs to
   * another one, which is reported once for each partition.
   */
  warning: WarningEvent;
  /** A new consumer waits until the lease of another consumer with its name has expired. */
  waiting: ConsumerWaitingEvent;
  /** A subscription of this broker is paused, or its group is. */
  pause: PauseEvent;
  /** A subscription that was paused goes on. */
  resume: ResumeEvent;
  /** The broker has closed. */
  close: Event;
}

/** The lifecycle events of a subscription, by type. */
export interface SubscriptionEventMap {
  /** An attempt failed, and the event will be retried. */
  retry: RetryEvent;
  /** An event became a dead letter. */
  deadletter: DeadLetterEvent;
  /** An event has a version that this process does not know, and waits for a consumer that knows it. */
  deferred: DeferredEvent;
  /** An event waits until the dead letter that holds its key is redriven or discarded. */
  held: HeldEvent;
  /** The end of an event was over before a handler began, so that it was settled without being handled. */
  expired: DeliveryEvent;
  /** An event was taken over from a dead consumer. */
  recovered: DeliveryEvent;
  /** This consumer lost a delivery to another consumer, or by a rewind, before it was settled. */
  leaselost: DeliveryEvent;
  /** The group had been deleted, and was made again. */
  grouplost: GroupLostEvent;
  /** Entries were removed from the stream before this group had settled them. */
  entrieslost: EntriesLostEvent;
  /** The subscription gets other partitions of a stream, because consumers of the group came or left. */
  rebalance: RebalanceEvent;
  /** The group or this subscription is paused: no handler starts. */
  pause: PauseEvent;
  /** The pause is over. */
  resume: ResumeEvent;
  /** The error that ended the subscription, or another one that no caller awaits. */
  error: BrokerErrorEvent;
  /** The store could not be reached, and will be tried again. */
  reconnect: ReconnectEvent;
  /** The subscription has closed. */
  close: Event;
}

type Inspect = (value: unknown, options: object) => string;

// Of an Event, Deno and Node print only the standard fields: `console.log` of an `error` event would not show the error.
const INSPECTORS = {
  [Symbol.for("Deno.customInspect")](this: Event, inspect: Inspect, options: object): string {
    return inspected(this, inspect, options);
  },
  [Symbol.for("nodejs.util.inspect.custom")](this: Event, _depth: number, options: object, inspect: Inspect): string {
    return inspected(this, inspect, options);
  },
};

function inspected(event: Event, inspect: Inspect, options: object): string {
  const fields = Object.entries(event).filter(([name]) => name !== "isTrusted");
  return `${event.constructor.name} ${inspect({ type: event.type, ...Object.fromEntries(fields) }, options)}`;
}

for (
  const EventClass of [
    BrokerErrorEvent,
    ReconnectEvent,
    ConsumerWaitingEvent,
    DeliveryEvent,
    EntriesLostEvent,
    GroupLostEvent,
    RebalanceEvent,
    PauseEvent,
    ResumeEvent,
    WarningEvent,
  ]
) Object.assign(EventClass.prototype, INSPECTORS);
