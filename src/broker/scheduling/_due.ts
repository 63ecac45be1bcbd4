import { checkKeys, checkSignal, show } from "../../events/_check.ts";
import { timeIn } from "../../events/_foreign.ts";
import type { When } from "../../store/mod.ts";
import type { Due } from "../options.ts";

// The last time that ISO 8601 writes with four digits for the year, in milliseconds since the epoch.
const LAST_TIME = 253_402_300_799_999;
// A thousand years, in milliseconds: the time that comes then has four digits for its year, too.
const MOST_DELAY = 31_556_952_000_000;

/**
 * Checks when an event is due.
 *
 * @throws {TypeError} Unless exactly one of `delay` and `at` is given, as a number or a valid date.
 * @throws {RangeError} For `NaN`, a delay of more than 1,000 years or a date after the year 9999.
 */
export function checkDue(action: string, options: Due): When {
  checkKeys(action, options, ["delay", "at"]);
  const { delay, at } = options;
  if ((delay === undefined) === (at === undefined)) {
    const given = delay === undefined ? "neither delay nor at" : "both delay and at";
    throw new TypeError(`Cannot ${action} with ${given}: give one of them`);
  }
  if (at !== undefined) return { at: checkedTime(action, "at", at) };
  if (typeof delay === "number" && delay <= MOST_DELAY) return { delay: Math.max(0, delay) };
  throw new (typeof delay === "number" ? RangeError : TypeError)(
    `Cannot ${action} with ${show(delay)} as delay (ms): give a number of at most ${MOST_DELAY} (1,000 years)`,
  );
}

/** The milliseconds of a date before the year 10000. */
export function checkedTime(action: string, name: string, date: unknown): number {
  const ms = timeIn(date);
  if (Number.isNaN(ms)) throw new TypeError(`Cannot ${action} with ${show(date)} as ${name}: give a valid Date`);
  if (ms > LAST_TIME) {
    throw new RangeError(`Cannot ${action} with ${show(date)} as ${name}: give a Date before the year 10000`);
  }
  return ms;
}

/** Checks the bounds of a list of scheduled events. */
export function checkScheduled(
  options: { readonly from?: Date; readonly to?: Date; readonly signal?: AbortSignal },
): { from?: number; to?: number; signal?: AbortSignal } {
  const action = "list scheduled events";
  checkKeys(action, options, ["from", "to", "signal"]);
  checkSignal(options.signal);
  const { from, to, signal } = options;
  return {
    ...(from !== undefined && { from: checkedTime(action, "from", from) }),
    ...(to !== undefined && { to: checkedTime(action, "to", to) }),
    ...(signal !== undefined && { signal }),
  };
}
