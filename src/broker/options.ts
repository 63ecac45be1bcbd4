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
  /** The event classes that the broker publishes and delivers. */
  events: readonly C[];
  /** The start of stream names, which are `<prefix>:<Type>`. @default {"events"} */
  prefix?: string;
  /** Options of streams, by the names of the streams. @default {none has partitions} */
  streams?: Readonly<Record<string, StreamOptions>>;
  /** How much to keep of a stream whose class has no `retention`. @default {everything} */
  retention?: RetentionOptions;
  /** How long a publish may take until it rejects, in milliseconds. @default {60_000} */
  publishTimeout?: number;
  /**
   * How many events may wait for a reply of the store at once, over all streams. A publish of more events rejects with a
   * `PublishQueueFullError`. @default {100_000}
   */
  maxQueued?: number;
  /** The same limit in bytes, approximately: a character counts as one byte. @default {268_435_456} 256 MiB */
  maxQueuedBytes?: number;
  /**
   * Encrypts the sensitive fields of classes with `encrypt`, and decrypts encrypted fields of any class.
   * @default {none: a class with `encrypt` throws a TypeError}
   */
  encryption?: DetailCipher;
  /** Closes the broker when it aborts. */
  signal?: AbortSignal;
}

/**
 * Options of one stream. All brokers of the stream need the same.
 *
 * @example A stream with eight partitions
 * ```ts
 * import { defineEvent, InMemoryBroker } from "@tidings/broker";
 * import { assertEquals } from "@std/assert";
 *
 * class BidPlaced extends defineEvent("BidPlaced", { stream: "Auction", subject: "auctionId" })<
 *   { auctionId: string; amount: number }
 * > {}
 *
 * await using broker = new InMemoryBroker({ events: [BidPlaced], streams: { Auction: { partitions: 8 } } });
 * await broker.publish([10, 20, 30].map((amount) => new BidPlaced({ auctionId: "a-1", amount })));
 * const amounts = await Array.fromAsync(broker.history(BidPlaced), (event) => event.detail.amount);
 * assertEquals(amounts, [10, 20, 30]);
 * ```
 */
export interface StreamOptions {
  /**
   * How many partitions the stream has, from 1 to 1,024. Each is a stream of its own in the store, named `events:Auction#0`
   * and so on, and holds the events of some subjects: see {@linkcode partitionOf}. All classes of the stream need the option
   * `subject`. The first broker that publishes or subscribes writes the number to the store; a broker with another number is
   * refused. @default {none: the stream is one stream in the store}
   */
  partitions?: number;
  /**
   * Whether the events of each subject are numbered, and found by an index: see {@linkcode PublishOptions.expected} and
   * {@linkcode ReadOptions.subject}. All classes of the stream need the option `subject`.
   * @default {true if they have it}
   */
  revisions?: boolean;
}

/**
 * How to publish.
 *
 * @example Publish only if no other event of the auction was published since
 * ```ts
 * import { ConflictError, defineEvent, InMemoryBroker } from "@tidings/broker";
 * import { assertEquals, assertRejects } from "@std/assert";
 *
 * class BidPlaced extends defineEvent("BidPlaced", { subject: "auctionId" })<{ auctionId: string; amount: number }> {}
 *
 * await using broker = new InMemoryBroker({ events: [BidPlaced] });
 * const first = new BidPlaced({ auctionId: "a-1", amount: 10 });
 * await broker.publish(first, { expected: { subject: "a-1", revision: "none" } });
 * assertEquals(first.revision, 1);
 *
 * const late = new BidPlaced({ auctionId: "a-1", amount: 20 });
 * const publishing = broker.publish(late, { expected: { subject: "a-1", revision: "none" } });
 * assertEquals((await assertRejects(() => publishing, ConflictError)).revision, 1);
 * ```
 */
export interface PublishOptions {
  /**
   * The revision that a subject must have before the events are stored: that of its last event, or `"none"` if it must have
   * no event. Otherwise nothing is stored, and the call rejects with a `ConflictError`. At least one of the events must have
   * that subject, and all must go to its stream, or to its partition of the stream. @default {any revision}
   */
  expected?: { readonly subject: string; readonly revision: number | "none" };
  /**
   * Ends the wait: the promise rejects with the signal's reason. An event that was already sent may still be stored.
   */
  signal?: AbortSignal;
}

/** When an event is due, by the clock of the store: after a time, or at a time. A time in the past is now. */
export type Due =
  | {
    /** How long to wait, in milliseconds; at most 1,000 years. */
    delay: number;
    at?: undefined;
  }
  | {
    /** The time; before the year 10000. */
    at: Date;
    delay?: undefined;
  };

/** How to publish events later. */
export type ScheduleOptions = Due & Pick<PublishOptions, "signal">;

/** When a schedule publishes: by a cron pattern, or each so many milliseconds. */
export type ScheduleRule =
  | {
    /** Five fields, or six that begin with seconds: `"0 9 * * 1-5"` is nine o'clock on working days. */
    readonly cron: string;
    /** The time zone of the pattern, by its IANA name. @default {"UTC"} */
    readonly timezone?: string;
    readonly every?: undefined;
  }
  | {
    /** The period in milliseconds, at least 100, counted from when the schedule was defined. */
    readonly every: number;
    readonly cron?: undefined;
    readonly timezone?: undefined;
  };

/**
 * What to do with ticks that were missed for more than five seconds, because no broker with the schedule was open: leave them
 * out, publish only the last one, or publish all, one after the other.
 */
export type MissedTicks = "skip" | "once" | "all";

/** Which scheduled events to list, by their times, both included. */
export interface ScheduledOptions {
  /** The first time. @default {that of the first event} */
  from?: Date;
  /** The last time. @default {that of the last event} */
  to?: Date;
  /** Ends the listing: it rejects with the signal's reason. */
  signal?: AbortSignal;
}

/**
 * When a failed event is retried: after `minTimeout * multiplier ** (attempt - 1)`, at most `maxTimeout`, minus the random
 * part that `jitter` allows.
 */
export interface RetryOptions {
  /** How many attempts an event gets, the first one included, before it becomes a dead letter. @default {10} */
  maxAttempts?: number;
  /** The delay after the first failure, in milliseconds. @default {1_000} */
  minTimeout?: number;
  /** The longest delay, in milliseconds. @default {60_000, or `minTimeout` if that is longer} */
  maxTimeout?: number;
  /** The factor by which the delay grows with every attempt. @default {2} */
  multiplier?: number;
  /** The part of the delay that is random, from 0 (none) to 1 (the whole delay). @default {1} */
  jitter?: number;
}

/** Where a new group begins, or where a rewound group continues. A position or a time is included. */
export type StartFrom = "beginning" | "now" | Position | Date;

/**
 * How to consume by pulling. A consumer whose `consumer` name is still leased to a dead predecessor waits until that lease
 * has expired, and the broker dispatches a `waiting` event.
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
  /** The consumer group. Each group receives every event, and its consumers share the events. */
  group: string;
  /** The name of this consumer, unique among the live consumers of its group. @default {a random name} */
  consumer?: string;
  /**
   * How many deliveries of one type this consumer holds at once, including those whose handler runs and those that were
   * pulled. By default 64 for `consume`. For `subscribe` it adapts by default: it starts at `concurrency`, and grows up to
   * 1,000 while handlers are fast, so that slow handlers leave events to other consumers. With a key it is 16 times
   * `concurrency`, and at least 128.
   *
   * Of a stream with partitions this is the sum over the partitions that this consumer reads. Half of it is divided among
   * them, so that a busy partition keeps no other one waiting. At least one delivery of each partition fits always. By
   * default the sum is at most 1,000, or 16 times `concurrency`, or 64 for each partition, whichever is largest.
   */
  prefetch?: number;
  /**
   * How many bytes of one type this consumer holds at once: names and values of the entries, where a character counts as one
   * byte. It claims nothing while it holds this much, and fewer events at a time when they are large. It holds more than
   * this for a while when events are larger than those before, by at most one claim: as many events as would have fit, and
   * no more than 500. One event fits always. Of a stream with partitions this is the sum over the partitions that this
   * consumer reads, divided as `prefetch` is; one claim of each partition may exceed it. @default {67_108_864} 64 MiB
   */
  prefetchBytes?: number;
  /**
   * How long after its last renewal this consumer counts as dead, in milliseconds. Other consumers then take over its
   * deliveries. @default {30_000}
   */
  lease?: number;
  /** When and how often a failed event is retried. */
  retry?: RetryOptions;
  /** Where a new group begins; an existing group ignores it. @default {"beginning"} */
  startFrom?: StartFrom;
  /**
   * How long an event of a newer version than its class has here waits for a consumer that knows the version, in
   * milliseconds. After that it becomes a dead letter with the reason `version`, within a quarter of the `lease`.
   * `Infinity` keeps it waiting. A waiting event costs no attempt, is counted by `info`, and is not trimmed. The first
   * consumer of the group that knows the version handles it, after events that follow it in the stream, also with `key`.
   * @default {604_800_000} 7 days
   */
  deferTimeout?: number;
  /**
   * What happens to an event whose `expires` is over before its handler starts. `"skip"`: it is settled, counted as `expired`
   * by `info`, and an `expired` event is dispatched. `"dead-letter"`: it becomes a dead letter of the reason `expired`. The
   * clock is that of this consumer. @default {"skip"}
   */
  whenExpired?: "skip" | "dead-letter";
  /**
   * How long closing waits for running handlers and pulled deliveries, in milliseconds. Then it aborts their signals, and
   * releases their events. @default {10_000}
   */
  drainTimeout?: number;
  /**
   * Who reads the partitions of a stream that has some. With `"exclusive"` they are spread evenly over the living consumers
   * of the group, and each one has one consumer at a time, which keeps the order of every subject over all processes.
   * With `"shared"` each consumer reads all partitions. All consumers of a group use the same assignment.
   *
   * Consumers that come get partitions after their last owner has drained them; those of a consumer that dies move after
   * its `lease`. Without a `key`, the events of one subject are handled one at a time.
   *
   * @default {"exclusive"} for streams with partitions
   */
  assignment?: "exclusive" | "shared";
  /**
   * Pauses the group, in all processes, when `failures` attempts of this subscription have failed in a row, without a success
   * in between; attempts that end in a dead letter count as failures, too. It goes on by itself after `for` milliseconds: with one event, and with
   * all others once a handler has succeeded. If that event fails, the group pauses again. @default {never}
   */
  pauseAfter?: { failures: number; for: number };
  /**
   * How often handlers of the group start, over all its processes: at most `limit` times in `per` milliseconds, evenly spread,
   * by the clock of the store. After a time without starts, up to `burst` (1) may come at once. With `by`, each key that the
   * function returns has this limit. Retries count as starts. All subscriptions of a group need the same rate, and
   * {@linkcode EventBroker.setRate} changes it for all of them. With `consume`, pulling starts an event.
   * @default {no limit}
   */
  rate?: RateOptions;
  /** Closes the subscription when it aborts. */
  signal?: AbortSignal;
}

/** How often something starts. */
export interface RateOptions {
  /** How many starts in `per` milliseconds, from 1 to 1,000,000. */
  limit: number;
  /** In milliseconds. */
  per: number;
  /** How many starts may come at once after a time without any. @default {1} */
  burst?: number;
  /** Returns the key of an event: each key has a limit of its own. @default {one limit for all} */
  // deno-lint-ignore no-explicit-any -- the events of several classes have no common type
  by?: (event: any) => string;
}

/** How to subscribe a handler. */
export interface SubscribeOptions<E extends DomainEvent> extends ConsumeOptions {
  /** How many handlers may run at once. @default {1} */
  concurrency?: number;
  /** Returns the key of an event. Events of one key are handled one at a time, in order, retries included. @default {none} */
  key?: (event: E) => string;
  /**
   * What happens to later events of a key whose event became a dead letter. `"continue"`: they are handled. `"hold-key"`: they
   * wait in the store until the letter is redriven or discarded, and then come in order; events of other keys go on. It needs
   * keys: the option `key`, or the option `subject` in each class, which is the key then. A key has at most 4,096 characters; an
   * event with a longer one becomes a dead letter at once, and holds no key. The store keeps it with the group: a
   * subscription with another one is refused, and `alterGroup` changes it. At most 10,000 events wait in a group and stream;
   * later ones become dead letters of the reason `held`. @default {"continue"}
   */
  whenDead?: "continue" | "hold-key";
  /** How long a handler may take before the attempt counts as failed, in milliseconds. @default {Infinity} */
  handlerTimeout?: number;
}

/**
 * Which events to read. Bounds are inclusive, except `after`. A Date is compared with the time of the position.
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
  /** The first event. @default {the oldest} */
  from?: Position | Date;
  /** The event before the first one. */
  after?: Position;
  /** The last event. @default {the newest at the time of the call} */
  to?: Position | Date;
  /**
   * Reads the events of this subject only, by an index. They are read by their revisions, so only those that have one. Not
   * with `follow`. @default {all events}
   */
  subject?: string;
  /** The first revision of the subject. @default {1} */
  fromRevision?: number;
  /** How many events to read at most. @default {Infinity} */
  limit?: number;
  /** Reads from the newest event to the oldest. Not with `follow`. @default {false} */
  reverse?: boolean;
  /** Waits for more events after the newest one, until `signal` aborts or the broker closes. @default {false} */
  follow?: boolean;
  /** Ends the reading, which rejects with the signal's reason. */
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
  /** Ends the call before it redrives: the promise rejects with the signal's reason. */
  signal?: AbortSignal;
}

/**
 * Which dead letters to discard: those with these `ids`, or those beyond the bounds `maxAge` and `maxLength`. Without any of
 * them, all dead letters of the group.
 *
 * @example Count first, then discard
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
  /** The group whose dead letters they are. */
  group: string;
  /** Only the letters with these ids. Not together with `maxAge` or `maxLength`. */
  ids?: readonly string[];
  /** Only the letters whose last attempt failed longer ago than this, in milliseconds. */
  maxAge?: number;
  /** How many letters to keep: only older letters are discarded. */
  maxLength?: number;
  /** Counts the letters, and discards none. @default {false} */
  dryRun?: boolean;
  /** Ends the call before it discards: the promise rejects with the signal's reason. */
  signal?: AbortSignal;
}

/**
 * Which groups `idle` waits for. The store is asked at once, then every 250 ms, and after this process has settled
 * deliveries (at most every 20 ms). A group that waits for a retry is not idle. A group with dead letters, or with deferred
 * events of a version that no consumer knows, may be idle: no consumer that runs now can handle them. So may one whose events
 * wait behind a dead letter of their key, with `whenDead: "hold-key"`, and one that is paused without an end, once its consumers
 * hold no event. A group that another
 * program has deleted is not idle while this broker has a subscription that makes it again.
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
  /** The only group to wait for. @default {all groups of the broker's event classes} */
  group?: string;
  /** Ends the wait: the promise rejects with the signal's reason. */
  signal?: AbortSignal;
}
