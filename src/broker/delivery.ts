import type { DomainEvent } from "../events/mod.ts";
import type { Position } from "../store/mod.ts";

/** One event on its way through one group, as its handler sees it. */
export interface Delivery<E extends DomainEvent = DomainEvent> {
  /** The event itself. */
  readonly event: E;
  /** Where the event stands in its stream. */
  readonly position: Position;
  /** The group that it is delivered to. */
  readonly group: string;
  /** The consumer that has it, by its name in the store: `<name>.<incarnation>`. */
  readonly consumer: string;
  /** Which attempt this is, from 1. Only a failed handler counts one. */
  readonly attempt: number;
  /** How often it came back from a consumer that died. */
  readonly recovered: number;
  /**
   * Aborts when this consumer loses the delivery, when the handler's `handlerTimeout` is over, and when a closing
   * subscription has waited `drainTimeout`. What the handler does after that counts nothing.
   */
  readonly signal: AbortSignal;
}

/** A delivery that the caller settles. Disposing of it unsettled releases it, uncounted. */
export interface PulledDelivery<E extends DomainEvent = DomainEvent> extends Delivery<E>, AsyncDisposable {
  /** Acknowledges; resolves once the store has it. Rejects with {@linkcode LeaseLostError} if it was lost. */
  ack(): Promise<void>;
  /**
   * Counts a failed attempt, like a handler that throws `error`; resolves once the store has it.
   *
   * @param options.delay When the next attempt is due, in milliseconds. @default {the delay of the retry policy}
   * @throws {RangeError} If `delay` is no number of at least 0; the delivery stays unsettled.
   * @throws {LeaseLostError} If this consumer no longer has the delivery.
   */
  nack(error?: unknown, options?: { delay?: number }): Promise<void>;
  /**
   * Gives the delivery back to its group, uncounted; resolves once the store has it.
   *
   * @param options.delay When it may be delivered again, in milliseconds. @default {0}
   * @throws {RangeError} If `delay` is no number of at least 0; the delivery stays unsettled.
   * @throws {LeaseLostError} If this consumer no longer has the delivery.
   */
  release(options?: { delay?: number }): Promise<void>;
}

/** Handles one event: resolving acknowledges it, throwing counts an attempt. */
export type Handler<E extends DomainEvent> = (event: E, delivery: Delivery<E>) => unknown;
