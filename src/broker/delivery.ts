import type { DomainEvent } from "../events/mod.ts";
import type { Position } from "../store/mod.ts";

/** An event that is delivered to a consumer of a group. */
export interface Delivery<E extends DomainEvent = DomainEvent> {
  /** The event. */
  readonly event: E;
  /** The position of the event in its stream. */
  readonly position: Position;
  /** The group that it is delivered to. */
  readonly group: string;
  /** The consumer that has it, by its name in the store: `<name>.<incarnation>`. */
  readonly consumer: string;
  /** The number of this attempt, from 1. Only failed attempts are counted. */
  readonly attempt: number;
  /** How often the event was taken over from a dead consumer. */
  readonly recovered: number;
  /**
   * Aborts when this consumer loses the delivery, when `handlerTimeout` is over, and when closing has waited for
   * `drainTimeout`. After that, the end of the handler settles nothing.
   */
  readonly signal: AbortSignal;
}

/** A delivery that the caller settles. Disposing of an unsettled delivery releases it, uncounted. */
export interface PulledDelivery<E extends DomainEvent = DomainEvent> extends Delivery<E>, AsyncDisposable {
  /**
   * Acknowledges the event. Resolves once the store has recorded it.
   *
   * @throws {TypeError} If the delivery is already settled or released.
   * @throws {LeaseLostError} If this consumer no longer has the delivery.
   */
  ack(): Promise<void>;
  /**
   * Counts a failed attempt, as a handler that throws `error` does. Resolves once the store has recorded it.
   *
   * @param options.delay When the next attempt is due, in milliseconds. @default {the delay of the retry policy}
   * @throws {TypeError} If the delivery is already settled or released.
   * @throws {RangeError} If `delay` is no number of at least 0; the delivery stays unsettled.
   * @throws {LeaseLostError} If this consumer no longer has the delivery.
   */
  nack(error?: unknown, options?: { delay?: number }): Promise<void>;
  /**
   * Gives the delivery back to its group, uncounted. Resolves once the store has recorded it.
   *
   * @param options.delay When the event may be delivered again, in milliseconds. @default {0}
   * @throws {TypeError} If the delivery is already settled or released.
   * @throws {RangeError} If `delay` is no number of at least 0; the delivery stays unsettled.
   * @throws {LeaseLostError} If this consumer no longer has the delivery.
   */
  release(options?: { delay?: number }): Promise<void>;
}

/** Handles one event. Returning or resolving acknowledges the event; throwing or rejecting counts a failed attempt. */
export type Handler<E extends DomainEvent> = (event: E, delivery: Delivery<E>) => unknown;
