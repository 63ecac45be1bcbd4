import type { DomainEvent, EventClass, RetentionOptions } from "../events/mod.ts";
import type { Position } from "../store/mod.ts";
import type { DetailCipher } from "./detail_cipher.ts";

/**
 * How to make a broker.
 *
 * @example Publish, and handle in a group
 * ```ts
 * import { defineEvent, InMemoryBroker } from "@tidings/broker";
 * import { assertEquals } from "@std/assert";
 *
 * class AuctionEnded extends defineEvent("AuctionEnded")<{ winningPrice: number }> {}
 *
 * const broker = new InMemoryBroker({ events: [AuctionEnded] });
 * const handled = Promise.withResolvers<number>();
 * await broker.subscribe(AuctionEnded, (event) => handled.resolve(event.detail.winningPrice), { group: "payments" });
 * await broker.publish(new AuctionEnded({ winningPrice: 99.99 }));
 * assertEquals(await handled.promise, 99.99);
 * await broker.close();
 * ```
 */
export interface BrokerOptions<C extends EventClass> {
  /** The event classes it publishes and delivers. */
  events: readonly C[];
  /** What stream names begin with: `<prefix>:<Type>`. @default {"events"} */
  prefix?: string;
  /** What to keep of streams whose class does not say. @default {everything} */
  retention?: RetentionOptions;
  /** How long a publish may take until it rejects, in milliseconds. @default {60_000} */
  publishTimeout?: number;
  /**
   * How many events may wait for the store's answer at once, over all streams: what is published beyond that is refused
   * with a `PublishQueueFullError`. @default {100_000}
   */
  maxQueued?: number;
  /** The same in bytes, about: a character counts as one. @default {268_435_456} 256 MiB */
  maxQueuedBytes?: number;
  /**
   * What encrypts the sensitive fields of classes with `encrypt`, and decrypts those of any class.
   * @default {nothing: such a class is a TypeError}
   */
  encryption?: DetailCipher;
  /** Closes the broker when it aborts. */
  signal?: AbortSignal;
}

/** When a failed event comes again: `minTimeout * multiplier ** (attempt - 1)`, at most `maxTimeout`, less jitter. */
export interface RetryOptions {
  /** How many attempts, the first one included, before the event goes to the dead letters. @default {10} */
  maxAttempts?: number;
  /** The delay after the first failure, in milliseconds. @default {1_000} */
  minTimeout?: number;
  /** The longest delay, in milliseconds. @default {60_000} */
  maxTimeout?: number;
  /** What the delay grows by with every attempt. @default {2} */
  multiplier?: number;
  /** Which part of the delay is random, from 0 (none) to 1 (anything up to the delay). @default {1} */
  jitter?: number;
}

/** Where a new group begins, or a rewound one goes on: a position or a time is the first it gets. */
export type StartFrom = "beginning" | "now" | Position | Date;

/**
 * How to consume by pulling. A consumer with a name of its own waits for the lease of a dead predecessor.
 *
 * @example Log the wait
 * ```ts
 * import { ConsumerWaitingEvent, defineEvent, InMemoryBroker } from "@tidings/broker";
 * import { assertEquals } from "@std/assert";
 *
 * class Greeted extends defineEvent("Greeted")<{ name: string }> {}
 *
 * await using broker = new InMemoryBroker({ events: [Greeted] });
 * const waits: string[] = [];
 * broker.addEventListener("waiting", ({ consumer, group, expiresIn }) => {
 *   waits.push(`${consumer} of ${group} waits up to ${expiresIn} ms`);
 * });
 * broker.dispatchEvent(new ConsumerWaitingEvent("payments", "pod-0", "Greeted", "pod-0.1abc", 20_000));
 * assertEquals(waits, ["pod-0 of payments waits up to 20000 ms"]);
 * ```
 */
export interface ConsumeOptions {
  /** The consumer group: each group gets every event, its consumers share them. */
  group: string;
  /** The name of this consumer, unique among the live ones of its group. @default {a random one} */
  consumer?: string;
  /**
   * The most deliveries of one type held here at once, those that run or were pulled included. By default 64 for
   * `consume`; for `subscribe` it adapts: it starts at `concurrency` and grows, up to 1,000, while handlers are fast, so
   * that slow work is not hoarded.
   */
  prefetch?: number;
  /** How long after its last sign of life this consumer counts as dead, in milliseconds. @default {30_000} */
  lease?: number;
  /** What happens after a failed attempt. */
  retry?: RetryOptions;
  /** Where the group begins, if it is new. @default {"beginning"} */
  startFrom?: StartFrom;
  /**
   * How long an event of a version above that of its class here is held for a consumer that knows it, in milliseconds,
   * before it goes to the dead letters with the reason `version`; `Infinity` holds it for ever. It is held as `info`
   * shows, costs no attempt, and keeps its entry from being trimmed; the first consumer of the group that knows the
   * version takes it, later than what followed it in the stream: with `key`, too. That its time is over is noticed
   * within a quarter of the `lease`. @default {604_800_000} 7 days
   */
  deferTimeout?: number;
  /** How long closing waits for running handlers before it aborts their signals, in milliseconds. @default {10_000} */
  drainTimeout?: number;
  /** Closes the subscription when it aborts. */
  signal?: AbortSignal;
}

/** How to subscribe a handler. */
export interface SubscribeOptions<E extends DomainEvent> extends ConsumeOptions {
  /** How many handlers may run at once. @default {1} */
  concurrency?: number;
  /** Events of one key are handled one after the other, in order, retries included. @default {no order by key} */
  key?: (event: E) => string;
  /** How long a handler may take before it counts as failed, in milliseconds. @default {Infinity} */
  handlerTimeout?: number;
}

/**
 * Which events to read, bounds inclusive; a Date compares with the time of the position.
 *
 * @example Publish and read back
 * ```ts
 * import { defineEvent, InMemoryBroker } from "@tidings/broker";
 * import { assertEquals } from "@std/assert";
 *
 * class Greeted extends defineEvent("Greeted")<{ name: string }> {}
 *
 * const broker = new InMemoryBroker({ events: [Greeted] });
 * await broker.publish(new Greeted({ name: "Ada" }));
 * const names = await Array.fromAsync(broker.history(Greeted), (event) => event.detail.name);
 * assertEquals(names, ["Ada"]);
 * await broker.close();
 * ```
 */
export interface ReadOptions {
  /** The first one. @default {the oldest} */
  from?: Position | Date;
  /** The one before the first. */
  after?: Position;
  /** The last one. @default {the newest at the time of the call} */
  to?: Position | Date;
  /** The most events. @default {Infinity} */
  limit?: number;
  /** From the newest to the oldest. Not with `follow`. @default {false} */
  reverse?: boolean;
  /** After the newest, wait for more until `signal` aborts. @default {false} */
  follow?: boolean;
  /** Ends the reading; it rejects with the signal's reason. */
  signal?: AbortSignal;
}

/**
 * Which dead letters to return to their group: those with these `ids`, or all of them.
 *
 * @example Count first, then redrive
 * ```ts
 * import { defineEvent, InMemoryBroker, PermanentError } from "@tidings/broker";
 * import { assertEquals } from "@std/assert";
 *
 * class CardCharged extends defineEvent("CardCharged")<{ amount: number }> {}
 *
 * await using broker = new InMemoryBroker({ events: [CardCharged] });
 * let down = true;
 * await broker.subscribe(CardCharged, () => {
 *   if (down) throw new PermanentError("The bank is down");
 * }, { group: "payments" });
 * await broker.publish(new CardCharged({ amount: 10 }));
 * await broker.idle({ group: "payments" });
 * down = false;
 * assertEquals(await broker.redrive(CardCharged, { group: "payments", dryRun: true }), 1);
 * assertEquals(await broker.redrive(CardCharged, { group: "payments" }), 1);
 * ```
 */
export interface RedriveOptions {
  /** The group whose dead letters they are. */
  group: string;
  /** Only the letters with these ids. @default {all letters of the group} */
  ids?: readonly string[];
  /** Counts the letters, and redrives none. @default {false} */
  dryRun?: boolean;
  /** Ends the call before it redrives; it rejects with the signal's reason. */
  signal?: AbortSignal;
}

/**
 * Which dead letters to discard: those with these `ids`, or those beyond the bounds; all of them without any.
 *
 * @example Discard what was looked at
 * ```ts
 * import { defineEvent, InMemoryBroker, PermanentError } from "@tidings/broker";
 * import { assertEquals } from "@std/assert";
 *
 * class CardCharged extends defineEvent("CardCharged")<{ amount: number }> {}
 *
 * await using broker = new InMemoryBroker({ events: [CardCharged] });
 * await broker.subscribe(CardCharged, () => {
 *   throw new PermanentError("Card declined");
 * }, { group: "payments" });
 * await broker.publish(new CardCharged({ amount: 10 }));
 * await broker.idle({ group: "payments" });
 * assertEquals(await broker.discardDeadLetters(CardCharged, { group: "payments", dryRun: true }), 1);
 * assertEquals(await broker.discardDeadLetters(CardCharged, { group: "payments" }), 1);
 * ```
 */
export interface DiscardDeadLettersOptions {
  /** The group that gave the events up. */
  group: string;
  /** Only the letters with these ids. Not together with `maxAge` or `maxLength`. */
  ids?: readonly string[];
  /** Only letters whose last attempt failed longer ago than this, in milliseconds. */
  maxAge?: number;
  /** Only the oldest letters beyond so many: so many stay. */
  maxLength?: number;
  /** Counts the letters, and discards none. @default {false} */
  dryRun?: boolean;
  /** Ends the call before it discards; it rejects with the signal's reason. */
  signal?: AbortSignal;
}

/**
 * Which groups `idle` waits for. The store is asked at once, after deliveries settled in this process (at most every
 * 20 ms), and every 250 ms. An event that waits for a retry keeps its group from being idle. Dead letters and deferred
 * events (of a version that no consumer knows) do not: no consumer that runs now can handle them.
 *
 * @example Wait for a group in a test
 * ```ts
 * import { defineEvent, InMemoryBroker } from "@tidings/broker";
 * import { assertEquals } from "@std/assert";
 *
 * class Greeted extends defineEvent("Greeted")<{ name: string }> {}
 *
 * await using broker = new InMemoryBroker({ events: [Greeted] });
 * const names: string[] = [];
 * await broker.subscribe(Greeted, (event) => void names.push(event.detail.name), { group: "greeters" });
 * await broker.publish(new Greeted({ name: "Ada" }));
 * await broker.idle({ group: "greeters", signal: AbortSignal.timeout(5_000) });
 * assertEquals(names, ["Ada"]);
 * ```
 */
export interface IdleOptions {
  /** One group. @default {every group of the broker's event classes} */
  group?: string;
  /** Ends the wait; the promise rejects with the signal's reason. */
  signal?: AbortSignal;
}
