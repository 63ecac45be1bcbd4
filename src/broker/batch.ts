import type { DomainEvent } from "../events/mod.ts";
import type { Delivery } from "./delivery.ts";

/** How events are gathered to batches. */
export interface BatchOptions {
  /** How many events a batch has at most, from 1 to 10,000, and no more than `prefetch`. */
  size: number;
  /** How long the first event of a batch waits for more, in milliseconds; at most an hour. @default {50} */
  wait?: number;
  /**
   * How many bytes the events of a batch have at most, where a character counts as one byte. One event fits always.
   * @default {Infinity}
   */
  bytes?: number;
}

/** Events that are handled together. */
export interface Batch<E extends DomainEvent = DomainEvent> {
  /** The events, those of one stream in order. */
  readonly events: readonly E[];
  /** The delivery of each event, by the same index. */
  readonly deliveries: readonly Delivery<E>[];
  /**
   * Aborts when `handlerTimeout` is over, when closing has waited for `drainTimeout`, and when this consumer has lost all
   * deliveries that are not acknowledged. Each delivery has a signal of its own, too.
   */
  readonly signal: AbortSignal;
  /**
   * Acknowledges some of the events before the handler ends. Resolves once the store has recorded it. The end of the handler
   * then settles only the others.
   *
   * @throws {TypeError} If an event is not in the batch, or the handler has ended.
   * @throws {LeaseLostError} If this consumer no longer has one of the deliveries. The others are acknowledged.
   */
  ack(...events: readonly E[]): Promise<void>;
}

/**
 * Handles a batch. Returning or resolving acknowledges all events; throwing or rejecting counts a failed attempt for each of
 * them, or for those that a `BatchError` names.
 */
export type BatchHandler<E extends DomainEvent> = (batch: Batch<E>) => unknown;
