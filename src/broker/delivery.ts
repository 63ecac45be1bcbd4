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
  /**
   * Does a step of the handler once, and keeps its answer beside the delivery in the store. Later attempts, also in other
   * processes, get the answer without doing the step. The answers of a delivery are dropped when it ends: when it is
   * acknowledged, becomes a dead letter, or is rewound. If the process dies after the step and before the store has the
   * answer, the step is done again: give the other side a key that makes the call idempotent, such as `event.id`.
   *
   * @param name Names the step within this handler: 1 to 200 characters.
   * @param step Returns the answer: plain JSON data, or undefined. A step that throws is not kept.
   * @throws {TypeError} If the name is malformed, or JSON cannot hold the answer without loss.
   * @throws {RangeError} If the delivery would have more than 64 answers, or more than 64 KiB of them. The step was done.
   * @throws {LeaseLostError} If this consumer no longer has the delivery.
   *
   * @example Charge once, mail until it succeeds
   * ```ts
   * import { defineEvent, InMemoryBroker } from "@tidings/broker";
   * import { assertEquals } from "@std/assert";
   *
   * class AuctionEnded extends defineEvent("AuctionEnded")<{ price: number }> {}
   *
   * await using broker = new InMemoryBroker({ events: [AuctionEnded] });
   * const done: string[] = [];
   * await broker.subscribe(AuctionEnded, async (_event, delivery) => {
   *   const id = await delivery.once("charge", () => {
   *     done.push("charged");
   *     return "charge-1";
   *   });
   *   if (delivery.attempt === 1) throw new Error("The mail server is down");
   *   done.push(`mailed about ${id}`);
   * }, { group: "payments", retry: { minTimeout: 10 } });
   * await broker.publish(new AuctionEnded({ price: 5 }));
   * await broker.idle({ group: "payments" });
   * assertEquals(done, ["charged", "mailed about charge-1"]);
   * ```
   */
  once<T>(name: string, step: () => T | PromiseLike<T>): Promise<T>;
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
