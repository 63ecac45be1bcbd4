import { assertName } from "../../../events/_names.ts";
import type { DomainEvent } from "../../../events/mod.ts";
import type { EventDefinition } from "../../../events/_definition.ts";
import type { Position, RateLimit, WhenDead } from "../../../store/mod.ts";
import { checkKeys, checkNumber, checkSignal, show } from "../../../events/_check.ts";
import { checkRate, checkWhenDead, startPoint } from "../../_settings.ts";
import type { BatchOptions } from "../../batch.ts";
import type { ConsumeOptions, RetryOptions, SubscribeOptions } from "../../options.ts";

/** The largest number of entries in one claim, and so of handlers that start in one turn of the event loop. */
export const MAX_CLAIM = 500;

/** How many deliveries a consumer holds at most without `prefetch`, unless so many handlers run at once. */
export const LARGEST_WINDOW = 1_000;

// Enough to hide round trips, but few, since a caller that pulls may be slow and other consumers should get events.
const PULLED_PREFETCH = 64;

const MOST_PREFETCHED = 100_000;

// Many times what is needed to hide round trips, and little for the memory of a process.
const PREFETCH_BYTES = 64 * 2 ** 20;

const LARGEST_BATCH = 10_000;
const LONGEST_BATCH_WAIT = 3_600_000;

const WEEK = 7 * 24 * 3_600_000;

const KEYS = [
  "group",
  "consumer",
  "prefetch",
  "prefetchBytes",
  "lease",
  "retry",
  "startFrom",
  "deferTimeout",
  "whenExpired",
  "drainTimeout",
  "assignment",
  "pauseAfter",
  "rate",
  "signal",
];
const SUBSCRIBE_KEYS = [...KEYS, "concurrency", "key", "handlerTimeout", "whenDead", "batch"];
const BATCH_KEYS = ["size", "wait", "bytes"];
const RETRY_KEYS = ["maxAttempts", "minTimeout", "maxTimeout", "multiplier", "jitter"];

/** How a subscription gathers batches, checked and with defaults. */
export interface BatchSettings extends Required<BatchOptions> {
  /** How many batches may be handled at once. */
  readonly concurrency: number;
}

/** The options of a subscription, checked and with defaults. */
export interface Settings {
  readonly group: string;
  /** Undefined when the broker generates the name. */
  readonly consumer: string | undefined;
  /** How many events may be handled at once. */
  readonly concurrency: number;
  /** Undefined when events are handled one by one. */
  readonly batch?: BatchSettings;
  /** Undefined when it adapts. */
  readonly prefetch: number | undefined;
  readonly prefetchBytes: number;
  readonly key: ((event: DomainEvent) => string) | undefined;
  readonly whenDead: WhenDead;
  readonly lease: number;
  readonly handlerTimeout: number;
  readonly retry: Required<RetryOptions>;
  readonly startFrom: "beginning" | "now" | Position;
  readonly deferTimeout: number;
  readonly whenExpired: "skip" | "dead-letter";
  readonly drainTimeout: number;
  /** Undefined for the default of the stream. */
  readonly assignment: "exclusive" | "shared" | undefined;
  readonly pauseAfter: { readonly failures: number; readonly for: number } | undefined;
  readonly rate: (RateLimit & { readonly by?: ((event: DomainEvent) => string) | undefined }) | undefined;
  readonly signal: AbortSignal | undefined;
}

/** Checks the options of `subscribe` and fills in the defaults. */
export function subscribeSettings<E extends DomainEvent>(
  options: SubscribeOptions<E> & { batch?: BatchOptions | undefined },
  definitions: readonly EventDefinition[] = [],
): Settings {
  checkKeys("subscribe", options ?? {}, SUBSCRIBE_KEYS);
  const { concurrency = 1, key, handlerTimeout = Infinity, whenDead = "continue" } = options ?? {};
  checkNumber("concurrency", concurrency, { min: 1, integer: true });
  checkNumber("handlerTimeout (ms)", handlerTimeout, { min: 1 });
  if (key !== undefined && typeof key !== "function") {
    throw new TypeError(`Cannot subscribe with the key ${show(key)}: give a function from an event to a string`);
  }
  checkWhenDead("subscribe", whenDead);
  const unordered = definitions.find(({ subject }) => subject === undefined);
  if (whenDead === "hold-key" && key === undefined && unordered !== undefined) {
    throw new TypeError(
      `Cannot subscribe to ${unordered.type} with whenDead "hold-key": its events have no key; give the option key, or ` +
        `the option subject in the class`,
    );
  }
  const settings = commonSettings("subscribe", options);
  const { batch } = options;
  return {
    ...settings,
    ...(batch === undefined ? { concurrency } : batchSettings(batch, concurrency, settings.prefetch)),
    key: key as Settings["key"] ?? (whenDead === "hold-key" ? bySubject : undefined),
    whenDead,
    handlerTimeout,
  };
}

/** Checks the options of `consume` and fills in the defaults. Pulled deliveries are limited by `prefetch` alone. */
export function consumeSettings(options: ConsumeOptions, types: number): Settings {
  checkKeys("consume", options ?? {}, KEYS);
  const settings = commonSettings("consume", options);
  const prefetch = settings.prefetch ?? PULLED_PREFETCH;
  return {
    ...settings,
    prefetch,
    concurrency: types * prefetch,
    key: undefined,
    whenDead: "continue",
    handlerTimeout: Infinity,
  };
}

/**
 * The longest key of a group that holds keys, in UTF-16 code units: the store keeps it with each letter and with each delivery
 * that waits.
 */
export const MAX_KEY_LENGTH = 4_096;

function batchSettings(
  batch: BatchOptions,
  concurrency: number,
  prefetch: number | undefined,
): Pick<Settings, "concurrency" | "batch" | "prefetch"> {
  checkKeys("subscribe with batch options", batch, BATCH_KEYS);
  const { size, wait = 50, bytes = Infinity } = batch;
  checkNumber("batch.size", size, { min: 1, max: LARGEST_BATCH, integer: true });
  checkNumber("batch.wait (ms)", wait, { min: 0, max: LONGEST_BATCH_WAIT });
  checkNumber("batch.bytes", bytes, { min: 1 });
  if (prefetch !== undefined && size > prefetch) {
    throw new TypeError(
      `Cannot subscribe with batches of ${size} events: prefetch is ${prefetch}, so that a batch would never be full; raise ` +
        `prefetch, or lower batch.size`,
    );
  }
  const most = concurrency * size;
  return {
    concurrency: most,
    batch: { size, wait, bytes, concurrency },
    // The next batches gather while these run.
    prefetch: prefetch ?? Math.max(size, Math.min(2 * most, MOST_PREFETCHED)),
  };
}

/** The default key. Events without a subject, which other programs may write, wait for no other event. */
export function bySubject({ subject, id }: DomainEvent): string {
  return subject ?? id;
}

/**
 * Where a group begins in a stream that it does not know. All events of a stream that is not among the known ones are later
 * than the subscription, which began when there were the known ones.
 */
export function startIn(stream: string, { startFrom }: Settings, known: readonly string[]): Settings["startFrom"] {
  return startFrom === "now" && !known.includes(stream) ? "beginning" : startFrom;
}

function commonSettings(
  verb: string,
  options: ConsumeOptions,
): Omit<Settings, "concurrency" | "batch" | "key" | "whenDead" | "handlerTimeout"> {
  const {
    group,
    consumer,
    prefetch,
    prefetchBytes = PREFETCH_BYTES,
    lease = 30_000,
    drainTimeout = 10_000,
    startFrom = "beginning",
    deferTimeout = WEEK,
    whenExpired = "skip",
    assignment,
    pauseAfter,
    rate,
    signal,
  } = options ?? {};
  if (group === undefined) {
    throw new TypeError(`Cannot ${verb} without a group: pass { group: "…" }, consumers of one group share its events`);
  }
  assertName("group", group);
  if (consumer !== undefined) assertName("consumer", consumer);
  if (prefetch !== undefined) checkNumber("prefetch", prefetch, { min: 1, max: MOST_PREFETCHED, integer: true });
  checkNumber("prefetchBytes", prefetchBytes, { min: 1 });
  checkNumber("lease (ms)", lease, { min: 100, max: 86_400_000 });
  checkNumber("deferTimeout (ms)", deferTimeout, { min: 0, max: deferTimeout === Infinity ? Infinity : 2 ** 40 });
  checkNumber("drainTimeout (ms)", drainTimeout, { min: 0 });
  if (assignment !== undefined && assignment !== "exclusive" && assignment !== "shared") {
    throw new TypeError(`Cannot ${verb} with the assignment ${show(assignment)}: give "exclusive" or "shared"`);
  }
  if (pauseAfter !== undefined) checkPauseAfter(verb, pauseAfter);
  if (whenExpired !== "skip" && whenExpired !== "dead-letter") {
    throw new TypeError(`Cannot ${verb} with whenExpired ${show(whenExpired)}: give "skip" or "dead-letter"`);
  }
  if (rate !== undefined) checkRate(`${verb} with a rate`, rate, ["by"]);
  checkSignal(signal);
  return {
    group,
    consumer,
    prefetch,
    prefetchBytes,
    lease,
    deferTimeout,
    whenExpired,
    drainTimeout,
    assignment,
    pauseAfter: pauseAfter && { ...pauseAfter },
    rate: rate && { ...rate } as Settings["rate"],
    startFrom: startPoint(startFrom, "startFrom"),
    retry: retrySettings(verb, options.retry),
    signal,
  };
}

function checkPauseAfter(verb: string, pauseAfter: NonNullable<ConsumeOptions["pauseAfter"]>): void {
  checkKeys(`${verb} with pauseAfter`, pauseAfter, ["failures", "for"]);
  checkNumber("pauseAfter.failures", pauseAfter.failures, { min: 1, integer: true });
  checkNumber("pauseAfter.for (ms)", pauseAfter.for, { min: 1, max: 2 ** 40 });
}

function retrySettings(verb: string, retry: RetryOptions = {}): Required<RetryOptions> {
  checkKeys(`${verb} with retry options`, retry, RETRY_KEYS);
  const { maxAttempts = 10, minTimeout = 1_000, multiplier = 2, jitter = 1 } = retry;
  checkNumber("retry.maxAttempts", maxAttempts, { min: 1, integer: true });
  checkNumber("retry.minTimeout (ms)", minTimeout, { min: 0, max: 2 ** 40 });
  const { maxTimeout = Math.max(60_000, minTimeout) } = retry;
  checkNumber("retry.maxTimeout (ms)", maxTimeout, { min: minTimeout, max: 2 ** 40 });
  checkNumber("retry.multiplier", multiplier, { min: 1 });
  checkNumber("retry.jitter", jitter, { min: 0, max: 1 });
  return { maxAttempts, minTimeout, maxTimeout, multiplier, jitter };
}
