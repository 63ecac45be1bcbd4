import type { EventBroker } from "../broker/mod.ts";
import { checkKeys, checkNumber, show } from "../events/_check.ts";

const OPTIONS = ["tracerProvider", "meterProvider", "createSpans", "attributes", "stalledAfter"];

/** Throws a TypeError unless `broker` is a broker. */
export function checkBroker(action: string, broker: unknown): void {
  if (typeof (broker as EventBroker | undefined)?.observe === "function") return;
  throw new TypeError(`Cannot ${action} ${show(broker)}: give a broker`);
}

/** Throws a TypeError or RangeError unless these are options of `instrument()`. */
export function checkOptions(options: object): void {
  checkKeys("instrument a broker", options, OPTIONS);
  const given = options as Readonly<Record<string, unknown>>;
  const { createSpans = true, attributes = {}, stalledAfter = 0 } = given;
  for (const [name, method] of [["tracerProvider", "getTracer"], ["meterProvider", "getMeter"]] as const) {
    const provider = given[name] as Record<string, unknown> | false | null | undefined;
    if (provider === undefined || provider === false || typeof provider?.[method] === "function") continue;
    throw new TypeError(
      `Cannot instrument a broker with the ${name} ${show(provider)}: it needs ${method}(), or be false`,
    );
  }
  if (typeof createSpans !== "boolean") {
    throw new TypeError(`Cannot instrument a broker with createSpans ${show(createSpans)}: give true or false`);
  }
  if (typeof attributes !== "object" || attributes === null) {
    throw new TypeError(`Cannot instrument a broker with the attributes ${show(attributes)}: give an object`);
  }
  for (const [name, value] of Object.entries(attributes)) {
    if (["string", "number", "boolean"].includes(typeof value)) continue;
    const way = "give a string, a number or a boolean";
    throw new TypeError(`Cannot instrument a broker with ${show(value)} as attribute ${show(name)}: ${way}`);
  }
  checkNumber("stalledAfter (ms)", stalledAfter as number, { min: 0 });
}

type Claims = WeakMap<object, Set<object>>;

/** By broker, the providers of tracers that it is instrumented with. */
export const TRACED: Claims = new WeakMap();
/** By broker, the providers of meters that it is instrumented with. */
export const MEASURED: Claims = new WeakMap();

/**
 * Notes that a broker is instrumented with a provider, until the result is called.
 *
 * @throws {TypeError} If it is already.
 */
export function claim(broker: object, provider: object, claims: Claims): () => void {
  const claimed = claims.get(broker) ?? new Set();
  if (claimed.has(provider)) {
    const name = claims === TRACED ? "tracerProvider" : "meterProvider";
    throw new TypeError(
      `Cannot instrument a broker twice with the same ${name}: its signals would be doubled; dispose the result of the ` +
        `first call, or give false`,
    );
  }
  claims.set(broker, claimed.add(provider));
  return () => claimed.delete(provider);
}
