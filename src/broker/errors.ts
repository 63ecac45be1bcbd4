import type { Position } from "../store/mod.ts";

/**
 * Thrown by a handler to say that trying again is useless: the event goes to the group's dead letters at once.
 *
 * @example Give up on a declined card
 * ```ts
 * import { PermanentError } from "@tidings/broker";
 * import { assertThrows } from "@std/assert";
 *
 * function charge(card: { declined: boolean }) {
 *   if (card.declined) throw new PermanentError("Card declined");
 * }
 * assertThrows(() => charge({ declined: true }), PermanentError, "Card declined");
 * ```
 */
export class PermanentError extends Error {
  /** Always `"PermanentError"`. */
  override readonly name = "PermanentError";
}

/**
 * The store may or may not have the events: no reply came within `publishTimeout`. Publish the same objects again on the
 * same broker to find out: that never stores them twice. After a restart, look for `ids` in the history; an event with
 * the same id that is stored twice is one for handlers that are idempotent by id.
 *
 * @example Find out the outcome
 * ```ts
 * import { defineEvent, type EventBroker, UncertainPublishError } from "@tidings/broker";
 *
 * class BidPlaced extends defineEvent("BidPlaced")<{ amount: number }> {}
 *
 * async function publish(broker: EventBroker<typeof BidPlaced>, event: BidPlaced) {
 *   for (;;) {
 *     try {
 *       return await broker.publish(event);
 *     } catch (error) {
 *       if (!(error instanceof UncertainPublishError)) throw error;
 *     }
 *   }
 * }
 * void publish;
 * ```
 */
export class UncertainPublishError extends Error {
  /** Always `"UncertainPublishError"`. */
  override readonly name = "UncertainPublishError";
  /** Ids of the events in doubt. */
  readonly ids: readonly string[];

  /** Makes the error. */
  constructor(message: string, ids: readonly string[], options?: ErrorOptions) {
    super(message, options);
    this.ids = ids;
  }
}

/**
 * The events were certainly not stored within `publishTimeout`, since the store could not be reached. Publish them again.
 *
 * @example Tell the two kinds of failure apart
 * ```ts
 * import { PublishTimeoutError, UncertainPublishError } from "@tidings/broker";
 * import { assertEquals } from "@std/assert";
 *
 * function isStored(error: unknown): "no" | "unknown" {
 *   return error instanceof UncertainPublishError ? "unknown" : "no";
 * }
 * assertEquals(isStored(new PublishTimeoutError("Cannot publish to events:BidPlaced in time")), "no");
 * ```
 */
export class PublishTimeoutError extends Error {
  /** Always `"PublishTimeoutError"`. */
  override readonly name = "PublishTimeoutError";
}

/**
 * The broker is closed: it publishes, subscribes and reads no more. A publish that rejects with this was not stored.
 *
 * @example Publish on a closed broker
 * ```ts
 * import { BrokerClosedError, defineEvent, InMemoryBroker } from "@tidings/broker";
 * import { assertRejects } from "@std/assert";
 *
 * class BidPlaced extends defineEvent("BidPlaced")<{ amount: number }> {}
 *
 * const broker = new InMemoryBroker({ events: [BidPlaced] });
 * await broker.close();
 * await assertRejects(() => broker.publish(new BidPlaced({ amount: 1 })), BrokerClosedError);
 * ```
 */
export class BrokerClosedError extends Error {
  /** Always `"BrokerClosedError"`. */
  override readonly name = "BrokerClosedError";
}

/**
 * Too much waits for the store already: as many events as `maxQueued` says, or bytes as `maxQueuedBytes` says. Nothing of
 * that call was stored, or will be: publish it again once earlier publishes are answered. It then stands behind what was
 * published meanwhile.
 *
 * @example Wait for what was published before
 * ```ts
 * import { defineEvent, InMemoryBroker, PublishQueueFullError } from "@tidings/broker";
 * import { assertEquals } from "@std/assert";
 *
 * class BidPlaced extends defineEvent("BidPlaced")<{ amount: number }> {}
 *
 * await using broker = new InMemoryBroker({ events: [BidPlaced], maxQueued: 2 });
 * const waiting: Promise<unknown>[] = [];
 * let refused = 0;
 * for (const amount of [1, 2, 3, 4, 5]) {
 *   const event = new BidPlaced({ amount });
 *   waiting.push(
 *     broker.publish(event).catch(async (error) => {
 *       if (!(error instanceof PublishQueueFullError)) throw error;
 *       refused++;
 *       await Promise.all(waiting.slice(0, 2));
 *       await broker.publish(event);
 *     }),
 *   );
 * }
 * await Promise.allSettled(waiting);
 * assertEquals(refused, 3);
 * ```
 */
export class PublishQueueFullError extends Error {
  /** Always `"PublishQueueFullError"`. */
  override readonly name = "PublishQueueFullError";
}

/** Some parts of an array over several streams failed; `errors` holds why, each part standing alone. */
export class PublishError extends AggregateError {
  /** Always `"PublishError"`. */
  override readonly name = "PublishError";
  /** The positions of what was stored, by index in the array; undefined where it was not. */
  readonly positions: readonly (Position | undefined)[];

  /** Makes the error. */
  constructor(errors: readonly unknown[], message: string, positions: readonly (Position | undefined)[]) {
    super(errors, message);
    this.positions = positions;
  }
}

/** Why `delivery.signal` aborted: this consumer no longer has the delivery, and cannot settle it any more. */
export class LeaseLostError extends Error {
  /** Always `"LeaseLostError"`. */
  override readonly name = "LeaseLostError";
}

/** An entry that is no event of its class: no payload, broken JSON, a version that nobody here knows. */
export class UndecodableError extends Error {
  /** `"UndecodableError"`, or the name of what extends it. */
  override readonly name: string = "UndecodableError";
  /** Where the entry stands: reading can go on `after` it. */
  readonly position: Position;
  /** The entry's fields, as they were found. */
  readonly raw: Readonly<Record<string, string>>;

  /** Makes the error. */
  constructor(message: string, position: Position, raw: Readonly<Record<string, string>>, options?: ErrorOptions) {
    super(message, options);
    this.position = position;
    this.raw = raw;
  }
}

/**
 * An entry of a version above the one that its class has here: written by a newer release. Groups hold such entries until
 * one of their consumers knows the version.
 */
export class NewerVersionError extends UndecodableError {
  /** Always `"NewerVersionError"`. */
  override readonly name = "NewerVersionError";
  /** The entry's version. */
  readonly version: number;

  /** Makes the error. */
  constructor(
    message: string,
    position: Position,
    raw: Readonly<Record<string, string>>,
    options: ErrorOptions & { readonly version: number },
  ) {
    super(message, position, raw, options);
    this.version = options.version;
  }
}
