import type { Healed, Position, RemovedRange } from "../store/mod.ts";

/** Something failed that no caller waits for. An `error` without a listener goes to `reportError`. */
export class BrokerErrorEvent extends Event {
  /** What failed. */
  readonly error: unknown;

  /** Makes the event. */
  constructor(error: unknown, type: "error" | "undecodable" = "error") {
    super(type);
    this.error = error;
  }
}

/** The store could not be reached, and will be tried again after `delay` milliseconds; nothing is lost meanwhile. */
export class ReconnectEvent extends Event {
  /** What went wrong this time. */
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
 * `subscribe` or `consume` waits for the lease of another consumer of its name: a dead predecessor. It rejects if that
 * consumer renews its lease meanwhile.
 */
export class ConsumerWaitingEvent extends Event {
  /** The group to join. */
  readonly group: string;
  /** The name that is taken. */
  readonly consumer: string;
  /** The type of events that the consumer is for. */
  readonly eventType: string;
  /** The consumer that has the name, as the store calls it. */
  readonly holder: string;
  /** How long the holder's lease still runs, in milliseconds: the longest that the wait takes. */
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

/** What befell one delivery: `recovered`, `leaselost`. */
export class DeliveryEvent extends Event {
  /** The type of the event that was delivered. */
  readonly eventType: string;
  /** Where it stands in its stream. */
  readonly position: Position;

  /** Makes the event. */
  constructor(type: string, eventType: string, position: Position) {
    super(type);
    this.eventType = eventType;
    this.position = position;
  }
}

/** A handler failed; the event comes again. */
export class RetryEvent extends DeliveryEvent {
  /** The attempt that failed, from 1. */
  readonly attempt: number;
  /** How long until the next one is due, in milliseconds. */
  readonly delay: number;
  /** What the handler threw. */
  readonly error: unknown;

  /** Makes the event. */
  constructor(eventType: string, position: Position, attempt: number, delay: number, error: unknown) {
    super("retry", eventType, position);
    this.attempt = attempt;
    this.delay = delay;
    this.error = error;
  }
}

/** An event went to the group's dead letters. */
export class DeadLetterEvent extends DeliveryEvent {
  /** How many attempts were counted. */
  readonly attempts: number;
  /** Why it was given up. */
  readonly reason: string;
  /** What the last attempt failed with. */
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
 * An event is of a version that this process does not know: the group holds it until a consumer comes that does, or
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
 * Entries were removed from the stream before this group had read or settled them: they are lost to the group. Somebody
 * trimmed or deleted them, by force or with another tool.
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

/** The group was lost (destroyed, or its stream deleted) and made again; delivery goes on. */
export class GroupLostEvent extends Event {
  /** The type of the events that the group is for. */
  readonly eventType: string;
  /** The first position that it reads now; undefined when it begins with a new stream. */
  readonly from: Position | undefined;
  /** Whether something may come again that was settled before. */
  readonly mayRepeat: boolean;

  /** Makes the event. */
  constructor(eventType: string, { from, mayRepeat }: Healed) {
    super("grouplost");
    this.eventType = eventType;
    this.from = from;
    this.mayRepeat = mayRepeat;
  }
}

/** Something works now, but may not do what its users expect. */
export class WarningEvent extends Event {
  /** What it is, and the way out. */
  readonly message: string;

  /** Makes the event. */
  constructor(message: string) {
    super("warning");
    this.message = message;
  }
}

/** What a broker tells of itself. */
export interface BrokerEventMap {
  /** Something failed that no caller waits for, a live listener that threw included. */
  error: BrokerErrorEvent;
  /** The store could not be reached, and will be tried again. */
  reconnect: ReconnectEvent;
  /** A live listener would have got an entry that is no event of its class. */
  undecodable: BrokerErrorEvent;
  /**
   * The store works, but with weaker guarantees than its users may expect: dispatched once, right after the broker was
   * made. Or closing waits for deliveries that were pulled and are not settled.
   */
  warning: WarningEvent;
  /** A new consumer waits for the lease of another one of its name. */
  waiting: ConsumerWaitingEvent;
  /** The broker is closed. */
  close: Event;
}

/** What a subscription tells of itself. */
export interface SubscriptionEventMap {
  /** A handler failed; the event comes again. */
  retry: RetryEvent;
  /** An event went to the dead letters. */
  deadletter: DeadLetterEvent;
  /** An event is of a version that is not known here, and waits for a consumer that knows it. */
  deferred: DeferredEvent;
  /** An event came back from a consumer that died. */
  recovered: DeliveryEvent;
  /** A delivery was lost to another consumer, or to a rewind, before it was settled. */
  leaselost: DeliveryEvent;
  /** The group was lost and made again; delivery goes on. */
  grouplost: GroupLostEvent;
  /** Entries were removed from the stream before this group had settled them. */
  entrieslost: EntriesLostEvent;
  /** The subscription failed, or something in it did that no caller waits for. */
  error: BrokerErrorEvent;
  /** The store could not be reached, and will be tried again. */
  reconnect: ReconnectEvent;
  /** The subscription is closed. */
  close: Event;
}
