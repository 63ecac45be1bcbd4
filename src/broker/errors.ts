import { checkNumber } from "../events/_check.ts";
import { isInstance, readProperty } from "../events/_foreign.ts";
import type { DomainEvent } from "../events/mod.ts";
import type { Position } from "../store/mod.ts";

/**
 * Thrown by a handler when a retry would be useless: the event becomes a dead letter of the group at once. That of another
 * copy of this package does the same.
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

/** Marks the class for other copies of this package: a second version of it may be loaded, whose class is another one. */
const PERMANENT = Symbol.for("@tidings/broker PermanentError");
Object.defineProperty(PermanentError.prototype, PERMANENT, { value: true });

/** Whether a thrown value is a PermanentError, of this or of another copy of this package. */
export function isPermanent(error: unknown): boolean {
  return isInstance(error, PermanentError) || readProperty(error, PERMANENT) === true;
}

/**
 * Thrown by a handler whose service allows no more calls for a while, as by a response with the status 429. The event returns
 * to its group, and no attempt is counted. The whole group pauses for that time, in all processes, and then goes on by itself.
 * That of another copy of this package does the same.
 *
 * @example Wait as long as the mail provider asks
 * ```ts
 * import { RateLimitedError } from "@tidings/broker";
 * import { assertRejects } from "@std/assert";
 *
 * async function send(post: () => Promise<Response>) {
 *   const response = await post();
 *   if (response.status !== 429) return;
 *   const seconds = Number(response.headers.get("retry-after") ?? 1);
 *   throw new RateLimitedError({ retryAfter: seconds * 1_000 });
 * }
 *
 * const refused = new Response(null, { status: 429, headers: { "retry-after": "2" } });
 * const { retryAfter } = await assertRejects(() => send(() => Promise.resolve(refused)), RateLimitedError);
 * if (retryAfter !== 2_000) throw new Error("not as long as asked");
 * ```
 */
export class RateLimitedError extends Error {
  /** Always `"RateLimitedError"`. */
  override readonly name = "RateLimitedError";
  /** For how long the group pauses, in milliseconds. */
  readonly retryAfter: number;

  /**
   * Makes the error.
   *
   * @throws {RangeError} If `retryAfter` is no number from 0 to 34 years.
   */
  constructor(options: ErrorOptions & { readonly retryAfter: number; readonly message?: string }) {
    const { retryAfter, message = `No more calls are allowed for ${retryAfter} ms` } = options;
    super(message, options);
    checkNumber("retryAfter (ms)", retryAfter, { min: 0, max: LONGEST_RETRY });
    this.retryAfter = retryAfter;
  }
}

const LONGEST_RETRY = 2 ** 40;
const RATE_LIMITED = Symbol.for("@tidings/broker RateLimitedError");
Object.defineProperty(RateLimitedError.prototype, RATE_LIMITED, { value: true });

/** For how long a group pauses because of this thrown value, in milliseconds; undefined if it is no RateLimitedError. */
export function retryAfterOf(error: unknown): number | undefined {
  if (!isInstance(error, RateLimitedError) && readProperty(error, RATE_LIMITED) !== true) return undefined;
  const retryAfter = readProperty(error, "retryAfter");
  const isValid = typeof retryAfter === "number" && retryAfter >= 0 && retryAfter <= LONGEST_RETRY;
  return isValid ? retryAfter : undefined;
}

/**
 * Thrown by the handler of a batch when only some of its events failed: an attempt is counted for these, and the others are
 * acknowledged. With a `key`, an event that is behind a failed one of its key is neither: it is delivered again after that
 * one, uncounted. An event whose own error is a `PermanentError` becomes a dead letter at once.
 *
 * @example Store what can be stored
 * ```ts
 * import { BatchError, defineEvent, InMemoryBroker, PermanentError } from "@tidings/broker";
 * import { assertEquals } from "@std/assert";
 *
 * class BidPlaced extends defineEvent("BidPlaced")<{ amount: number }> {}
 *
 * await using broker = new InMemoryBroker({ events: [BidPlaced] });
 * const stored: number[] = [];
 * await broker.subscribe(BidPlaced, (batch) => {
 *   const failed = new Map<BidPlaced, unknown>();
 *   for (const event of batch.events) {
 *     if (event.detail.amount > 0) stored.push(event.detail.amount);
 *     else failed.set(event, new PermanentError("The amount is not positive"));
 *   }
 *   if (failed.size > 0) throw new BatchError(failed);
 * }, { group: "store", batch: { size: 100 } });
 *
 * await broker.publish([1, -1, 2].map((amount) => new BidPlaced({ amount })));
 * await broker.idle({ group: "store" });
 * assertEquals(stored, [1, 2]);
 * assertEquals((await Array.fromAsync(broker.deadLetters(BidPlaced, { group: "store" }))).length, 1);
 * ```
 */
export class BatchError extends Error {
  /** Always `"BatchError"`. */
  override readonly name = "BatchError";
  /** The failed events, and the error of each. */
  readonly failed: ReadonlyMap<DomainEvent, unknown>;

  /** Makes the error. Of events without an error of their own, this error is the error. */
  constructor(
    failed: ReadonlyMap<DomainEvent, unknown> | readonly DomainEvent[],
    message = "Some events of a batch failed",
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.failed = failed instanceof Map
      ? failed
      : new Map(Array.from(failed as readonly DomainEvent[], (event) => [event, this]));
  }
}

const BATCH = Symbol.for("@tidings/broker BatchError");
Object.defineProperty(BatchError.prototype, BATCH, { value: true });

/** The failed events that a thrown value names; undefined if it is no BatchError, of this or of another copy of this package. */
export function failedEvents(error: unknown): ReadonlyMap<unknown, unknown> | undefined {
  if (!isInstance(error, BatchError) && readProperty(error, BATCH) !== true) return undefined;
  const failed = readProperty(error, "failed");
  return failed instanceof Map ? failed : undefined;
}

/**
 * The store may or may not have the events: no reply came within `publishTimeout`, or before the broker closed. Publish the
 * same objects again on the same broker to find out: that never stores them twice. After the broker has closed, or after a
 * restart of the process, look for `ids` in the history; or publish events with the same ids, which may store them twice,
 * if all handlers are idempotent by id.
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
 * The store could not be reached within `publishTimeout`. The events are certainly not stored: publish them again.
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
 * The broker has closed, and cannot be used any more. Events of a publish that rejects with this error are not stored.
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
 * Too many events wait for a reply of the store: more than `maxQueued`, or more bytes than `maxQueuedBytes`. No event of
 * this call is stored. Publish them again after earlier publishes have settled. They are then stored after events that were
 * published in between.
 *
 * @example Wait for earlier publishes
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

/**
 * The subject does not have the expected revision: another writer was faster. Nothing was stored. Read the subject's events
 * again, decide anew, and publish.
 *
 * @example Decide again after a conflict
 * ```ts
 * import { ConflictError, defineEvent, InMemoryBroker } from "@tidings/broker";
 * import { assertEquals } from "@std/assert";
 *
 * class BidPlaced extends defineEvent("BidPlaced", { subject: "auctionId" })<{ auctionId: string; amount: number }> {}
 *
 * await using broker = new InMemoryBroker({ events: [BidPlaced] });
 *
 * async function raise(auctionId: string, by: number) {
 *   for (;;) {
 *     const [last] = await Array.fromAsync(broker.history(BidPlaced, { subject: auctionId, reverse: true, limit: 1 }));
 *     const amount = (last?.detail.amount ?? 0) + by;
 *     const expected = { subject: auctionId, revision: last?.revision ?? "none" } as const;
 *     try {
 *       return await broker.publish(new BidPlaced({ auctionId, amount }), { expected });
 *     } catch (error) {
 *       if (!(error instanceof ConflictError)) throw error;
 *     }
 *   }
 * }
 *
 * await Promise.all([raise("a-1", 10), raise("a-1", 20), raise("a-1", 30)]);
 * const bids = await Array.fromAsync(broker.history(BidPlaced, { subject: "a-1" }));
 * assertEquals([bids.length, bids.at(-1)!.detail.amount], [3, 60]);
 * ```
 */
export class ConflictError extends Error {
  /** Always `"ConflictError"`. */
  override readonly name = "ConflictError";
  /** The subject. */
  readonly subject: string;
  /** The revision that was expected. */
  readonly expected: number | "none";
  /** The revision that the subject has; 0 if it has no event. */
  readonly revision: number;

  /** Makes the error. */
  constructor(
    message: string,
    options: ErrorOptions & Pick<ConflictError, "subject" | "expected" | "revision">,
  ) {
    super(message, options);
    this.subject = options.subject;
    this.expected = options.expected;
    this.revision = options.revision;
  }
}

/** Events of some types or partitions in an array were not published. `errors` has the reasons: one for each of these. */
export class PublishError extends AggregateError {
  /** Always `"PublishError"`. */
  override readonly name = "PublishError";
  /** The positions of the stored events, by index in the array; undefined for an event that may not be stored. */
  readonly positions: readonly (Position | undefined)[];

  /** Makes the error. */
  constructor(errors: readonly unknown[], message: string, positions: readonly (Position | undefined)[]) {
    super(errors, message);
    this.positions = positions;
  }
}

/** This consumer has lost the delivery, and can no longer settle it. Also the reason of `delivery.signal`. */
export class LeaseLostError extends Error {
  /** Always `"LeaseLostError"`. */
  override readonly name = "LeaseLostError";
}

/**
 * An entry that is no event of its class: it has no payload, malformed JSON, a detail that the schema refuses, or an unknown
 * version.
 */
export class UndecodableError extends Error {
  /** `"UndecodableError"`, or the name of the subclass. */
  override readonly name: string = "UndecodableError";
  /** The position of the entry: reading can continue `after` it. */
  readonly position: Position;
  /** The fields of the entry, unchanged. */
  readonly raw: Readonly<Record<string, string>>;

  /** Makes the error. */
  constructor(message: string, position: Position, raw: Readonly<Record<string, string>>, options?: ErrorOptions) {
    super(message, options);
    this.position = position;
    this.raw = raw;
  }
}

/**
 * An entry whose version is newer than that of its class in this process: a newer release wrote it. Groups defer such
 * entries until one of their consumers knows the version.
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
