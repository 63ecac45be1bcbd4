/**
 * Checks options that no single folder owns: the options of a broker, and positions and times.
 *
 * @module
 */
import { checkKeys, checkNumber, checkSignal, show } from "../events/_check.ts";
import { timeIn } from "../events/_foreign.ts";
import { assertName } from "../events/_names.ts";
import { checkRetention } from "../events/_retention.ts";
import type { EventClass, RetentionOptions } from "../events/mod.ts";
import {
  firstPositionAt,
  isPosition,
  lastPositionAt,
  type Position,
  type RateLimit,
  type WhenDead,
} from "../store/mod.ts";
import type { BrokerOptions, StartFrom, StreamOptions } from "./options.ts";
import { MAX_PARTITIONS } from "./partition_of.ts";

const KEYS = [
  "events",
  "prefix",
  "streams",
  "retention",
  "publishTimeout",
  "maxQueued",
  "maxQueuedBytes",
  "encryption",
  "signal",
];

/** The options of a broker, checked and with defaults; `events` and `encryption` are checked with the codecs. */
export interface BrokerSettings<C extends EventClass> extends Pick<BrokerOptions<C>, "encryption" | "signal"> {
  readonly events: readonly C[];
  readonly prefix: string;
  readonly streams: Readonly<Record<string, StreamOptions>>;
  /** Undefined when every event is kept. */
  readonly retention: RetentionOptions | undefined;
  readonly publishTimeout: number;
  readonly maxQueued: number;
  readonly maxQueuedBytes: number;
}

/** Checks the options of a broker and fills in the defaults. */
export function brokerSettings<C extends EventClass>(options: BrokerOptions<C>): BrokerSettings<C> {
  checkKeys("make a broker", options, KEYS);
  const { prefix = "events", streams = {}, retention, publishTimeout = 60_000 } = options;
  const { maxQueued = 100_000, maxQueuedBytes = 256 * 2 ** 20 } = options;
  assertName("prefix", prefix);
  checkStreams(streams);
  checkNumber("publishTimeout (ms)", publishTimeout, { min: 1, max: 2 ** 40 });
  checkNumber("maxQueued", maxQueued, { min: 1, integer: true });
  checkNumber("maxQueuedBytes", maxQueuedBytes, { min: 1, integer: true });
  checkSignal(options.signal);
  const keep = retention === undefined ? undefined : checkRetention(retention);
  return { ...options, prefix, streams, retention: keep, publishTimeout, maxQueued, maxQueuedBytes };
}

/** The value of an option that says where to start, in the store's terms: a Date becomes the lowest position of that time. */
export function startPoint(value: StartFrom, option: string): "beginning" | "now" | Position {
  if (value === "beginning" || value === "now") return value;
  return positionOf(value, option, "low", `"beginning", "now", `);
}

/**
 * A position as it is; for a Date, the lowest (`"low"`) or highest (`"high"`) position of that time.
 *
 * @param option The name of the option, for the error message.
 * @param alternatives Other values that the option takes, for the error message.
 */
export function positionOf(value: Position | Date, option: string, end: "low" | "high", alternatives = ""): Position {
  const time = timeIn(value);
  if (!Number.isNaN(time)) return end === "low" ? firstPositionAt(time) : lastPositionAt(time);
  if (isPosition(value)) return value;
  throw new TypeError(
    `Cannot use ${
      value instanceof Date ? "an invalid Date" : show(value)
    } as ${option}: give ${alternatives}a position such as "1767225600000-0", or a valid Date`,
  );
}

/** Throws unless these are options of streams; whether the streams exist is checked with the event classes. */
function checkStreams(streams: Readonly<Record<string, StreamOptions>>): void {
  // A Map is an object without keys, and would be ignored.
  if (typeof streams !== "object" || streams === null || Array.isArray(streams) || streams instanceof Map) {
    throw new TypeError(
      `Cannot make a broker with the streams ${show(streams)}: give an object, such as { Auction: { partitions: 8 } }`,
    );
  }
  for (const [name, options] of Object.entries(streams)) {
    checkKeys(`make a broker with options for the stream ${show(name)}`, options, ["partitions", "revisions"]);
    const { partitions, revisions } = options;
    if (revisions !== undefined && typeof revisions !== "boolean") {
      throw new TypeError(`Cannot use ${show(revisions)} as streams.${name}.revisions: give true or false`);
    }
    if (partitions === undefined) continue;
    checkNumber(`streams.${name}.partitions`, partitions, { min: 1, max: MAX_PARTITIONS, integer: true });
  }
}

/** Throws a TypeError unless the value is a policy for dead letters. */
export function checkWhenDead(action: string, whenDead: unknown): asserts whenDead is WhenDead {
  if (whenDead === "continue" || whenDead === "hold-key") return;
  throw new TypeError(`Cannot ${action} with the whenDead ${show(whenDead)}: give "continue" or "hold-key"`);
}

/** Throws unless `rate` limits how often something starts. */
export function checkRate(
  action: string,
  rate: RateLimit & { readonly by?: unknown },
  others: readonly string[] = [],
): void {
  checkKeys(action, rate, ["limit", "per", "burst", ...others]);
  const { limit, per, burst = 1, by } = rate;
  checkNumber("rate.limit", limit, { min: 1, max: 1e6, integer: true });
  checkNumber("rate.per (ms)", per, { min: 1, max: 2 ** 40 });
  checkNumber("rate.burst", burst, { min: 1, max: 1e6, integer: true });
  if (by === undefined || typeof by === "function") return;
  throw new TypeError(`Cannot ${action} by ${show(by)}: give a function from an event to a string`);
}
