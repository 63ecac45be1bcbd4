import { checkKeys, checkNumber, checkSignal } from "../events/_check.ts";
import { assertName } from "../events/_names.ts";
import { checkRetention } from "../events/_retention.ts";
import type { EventClass, RetentionOptions } from "../events/mod.ts";
import type { BrokerOptions } from "./options.ts";

const KEYS = ["events", "prefix", "retention", "publishTimeout", "maxQueued", "maxQueuedBytes", "encryption", "signal"];

/** The options of a broker, checked and with defaults; `events` and `encryption` are checked with the codecs. */
export interface BrokerSettings<C extends EventClass> extends Pick<BrokerOptions<C>, "encryption" | "signal"> {
  readonly events: readonly C[];
  readonly prefix: string;
  /** Undefined when everything is kept. */
  readonly retention: RetentionOptions | undefined;
  readonly publishTimeout: number;
  readonly maxQueued: number;
  readonly maxQueuedBytes: number;
}

/** Checks the options of a broker and fills in the defaults. */
export function brokerSettings<C extends EventClass>(options: BrokerOptions<C>): BrokerSettings<C> {
  checkKeys("make a broker", options, KEYS);
  const { prefix = "events", retention, publishTimeout = 60_000 } = options;
  const { maxQueued = 100_000, maxQueuedBytes = 256 * 2 ** 20 } = options;
  assertName("group", prefix);
  checkNumber("publishTimeout (ms)", publishTimeout, { min: 1, max: 2 ** 40 });
  checkNumber("maxQueued", maxQueued, { min: 1, integer: true });
  checkNumber("maxQueuedBytes", maxQueuedBytes, { min: 1, integer: true });
  checkSignal(options.signal);
  const keep = retention === undefined ? undefined : checkRetention(retention);
  return { ...options, prefix, retention: keep, publishTimeout, maxQueued, maxQueuedBytes };
}
