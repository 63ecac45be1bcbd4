import type { DomainEvent } from "../../events/mod.ts";
import type { Position } from "../../store/mod.ts";
import type { Delivery } from "../delivery.ts";

/**
 * Follows what a broker does: tracing, metrics and diagnostics are built on it. Every method is optional. A method is
 * called synchronously, so it should be fast. An error that it throws, or that its promise rejects with, becomes an `error`
 * event of the broker, and changes nothing about the observed work.
 *
 * A method that observes work with a duration returns an observation, whose `ended` is called once when the work ends, or
 * undefined to ignore that work.
 *
 * @example Count what is published and handled
 * ```ts
 * import { type BrokerObserver, defineEvent, InMemoryBroker } from "@tidings/broker";
 * import { assertEquals } from "@std/assert";
 *
 * class Greeted extends defineEvent("Greeted")<{ name: string }> {}
 *
 * const counts = { published: 0, handled: 0 };
 * const counter: BrokerObserver = {
 *   publishing: (events) => ({
 *     ended({ error }) {
 *       if (error === undefined) counts.published += events.length;
 *     },
 *   }),
 *   handling: () => ({
 *     ended({ outcome }) {
 *       if (outcome === "ack") counts.handled++;
 *     },
 *   }),
 * };
 *
 * await using broker = new InMemoryBroker({ events: [Greeted] });
 * using _observing = broker.observe(counter);
 * await broker.subscribe(Greeted, () => {}, { group: "greeters" });
 * await broker.publish(new Greeted({ name: "Ada" }));
 * await broker.idle({ group: "greeters" });
 * assertEquals(counts, { published: 1, handled: 1 });
 * ```
 */
export interface BrokerObserver {
  /**
   * Whether it observes now. It is asked for each event: while all observers of a broker answer `false`, the broker prepares
   * nothing for them. An observer may be called all the same while another one is active.
   *
   * @default {() => true}
   */
  active?(): boolean;
  /** `publish()` was called with these events, which are not encoded yet. */
  publishing?(events: readonly DomainEvent[]): PublishObservation | undefined;
  /**
   * A handler is about to be called with this delivery, or `consume()` is about to yield it (`"pulled"`), or the handler of a
   * batch is about to be called, once for each delivery in it (`"batch"`). `run` is called for `"handler"` alone.
   */
  handling?(delivery: Delivery, kind: "handler" | "pulled" | "batch"): HandlerObservation | undefined;
  /** Outcomes of deliveries are about to be sent to the store, in one round trip. */
  settling?(batch: SettlingBatch): SettlingObservation | undefined;
  /** The broker or its caller changes a stream or a group. */
  operating?(operation: Operation): OperationObservation | undefined;
  /** The broker or one of its subscriptions dispatches a lifecycle event, such as `retry` or `reconnect`. */
  lifecycle?(event: Event, source: LifecycleSource): void;
}

/** Observes one call of `publish()`. */
export interface PublishObservation {
  /**
   * The W3C `traceparent` for each event, by its index. An event that has one already keeps its own.
   *
   * @see {@link https://www.w3.org/TR/trace-context/#traceparent-header}
   */
  readonly traceparents?: readonly (string | undefined)[];
  /** The promise of the call has settled: with `error`, or without one when the store has all events. */
  ended(end: { readonly error?: unknown }): void;
}

/** Observes one attempt to handle an event. */
export interface HandlerObservation {
  /** Calls the handler and returns what it returns: here a context can be made active for all that the handler calls. */
  run?<R>(handler: () => R): R;
  /** The attempt has ended. */
  ended(end: AttemptEnd): void;
}

/** How an attempt to handle an event ended. */
export interface AttemptEnd {
  /**
   * `ack`: handled. `retry`: failed, and will be retried. `dead`: failed, and becomes a dead letter. `release`: given back,
   * uncounted, also when closing does not wait for the handler any longer. `lost`: when the handler ended, this consumer no
   * longer had the delivery.
   */
  readonly outcome: "ack" | "retry" | "dead" | "release" | "lost";
  /** The error of a failed attempt; it may be any value. */
  readonly error?: unknown;
  /** When the next attempt is due, in milliseconds. */
  readonly delay?: number | undefined;
}

/** Outcomes that are sent to the store in one round trip. */
export interface SettlingBatch {
  /** The type of the events. */
  readonly eventType: string;
  /** The group that settles them. */
  readonly group: string;
  /** The consumer that settles them. */
  readonly consumer: string;
  /** One for each delivery. */
  readonly outcomes: readonly SettlingOutcome[];
}

/** The outcome of one delivery. */
export interface SettlingOutcome {
  /** The position of the event in its stream. */
  readonly position: Position;
  /**
   * `ack`, `retry`, `dead` and `release` as in {@linkcode AttemptEnd}; `skip`: of another type; `expire`: not to be handled any
   * more; `defer`: waits for a consumer that knows its
   * version; `wait`: waits until the dead letter that holds its key is redriven or discarded; `isolate`: is about to be handled exclusively.
   */
  readonly outcome: "ack" | "skip" | "expire" | "retry" | "dead" | "release" | "defer" | "wait" | "isolate";
  /** The delivery that `handling` was called with; undefined if no handler was called. */
  readonly delivery: Delivery | undefined;
  /** The W3C `traceparent` of the event, also if no handler was called; undefined if the event has none. */
  readonly traceparent: string | undefined;
}

/** Observes one round trip of outcomes. */
export interface SettlingObservation {
  /**
   * The store has replied, or the broker has given up (`error`). `refused`: the positions of deliveries that were lost
   * before, so that the store refused their outcomes.
   */
  ended(end: { readonly error?: unknown; readonly refused: readonly Position[] }): void;
}

/** A change to a stream or a group, other than publishing and settling. */
export interface Operation {
  /** The name of the operation. The broker itself trims, too, for retention. */
  readonly name:
    | "redrive"
    | "discard"
    | "rewind"
    | "alter_group"
    | "delete_group"
    | "pause"
    | "resume"
    | "set_rate"
    | "repartition"
    | "unschedule"
    | "reschedule"
    | "trim";
  /** The type of the stream's events. */
  readonly eventType: string;
  /** The group that is changed; undefined when it is the stream. */
  readonly group: string | undefined;
}

/** Observes one operation. */
export interface OperationObservation {
  /** The operation has ended. `count`: how many events or dead letters it changed, if the store tells. */
  ended(end: { readonly error?: unknown; readonly count?: number | undefined }): void;
}

/** Where a lifecycle event comes from. */
export interface LifecycleSource {
  /** The group of the subscription; undefined when the event is the broker's own. */
  readonly group: string | undefined;
}
