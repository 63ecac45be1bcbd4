import { checkKeys, checkNumber, reasonOf, show } from "../../events/_check.ts";
import type { ScheduleRule } from "../options.ts";
import { load } from "../../store/_load.ts";

/** The times of a schedule, in milliseconds since the epoch. */
export interface Ticks {
  /** The first tick after a time; undefined if none comes. */
  after(ms: number): number | undefined;
  /** The last tick at or before a time, for a schedule that has a tick before it. */
  before(ms: number): number | undefined;
}

// A shorter period would cost more than it is worth: each tick is two writes.
const LEAST_PERIOD = 100;
// 1,000 years.
const MOST_PERIOD = 31_556_952_000_000;

/** Checks a rule as far as that is possible without the library for cron patterns. */
export function checkRule(name: string, rule: ScheduleRule): ScheduleRule {
  const action = `schedule ${show(name)}`;
  checkKeys(action, rule, ["cron", "timezone", "every"]);
  const { cron, timezone, every } = rule;
  if ((cron === undefined) === (every === undefined)) {
    throw new TypeError(
      `Cannot ${action} with ${cron === undefined ? "neither cron nor every" : "both"}: give one of them`,
    );
  }
  if (every !== undefined) {
    checkNumber("every (ms)", every, { min: LEAST_PERIOD, max: MOST_PERIOD, integer: true });
    if (timezone === undefined) return { every };
    throw new TypeError(`Cannot ${action} with every and a time zone: a time zone is for cron only; leave it out`);
  }
  if (typeof cron !== "string") throw new TypeError(`Cannot ${action} with ${show(cron)} as cron: give a pattern`);
  assertTimeZone(action, timezone);
  return timezone === undefined ? { cron } : { cron, timezone };
}

function assertTimeZone(action: string, timezone: string | undefined): void {
  if (timezone === undefined) return;
  try {
    new Intl.DateTimeFormat("en", { timeZone: timezone });
  } catch (error) {
    throw new RangeError(
      `Cannot ${action} with ${show(timezone)} as timezone: it is unknown; give an IANA name such as "Europe/Berlin"`,
      { cause: error },
    );
  }
}

/**
 * The ticks of a rule.
 *
 * @param start The time from which a period is counted, in milliseconds since the epoch.
 * @throws {RangeError} If the cron pattern cannot be read, or has no tick.
 */
export async function ticksOf(name: string, { cron, timezone, every }: ScheduleRule, start: number): Promise<Ticks> {
  if (every !== undefined) {
    const tick = (count: number) => start + Math.max(1, count) * every;
    return {
      after: (ms) => tick(Math.floor((ms - start) / every) + 1),
      before: (ms) => tick(Math.floor((ms - start) / every)),
    };
  }
  // Loaded on first use: most brokers have no cron pattern.
  const { Cron } = await load(() => import("croner"));
  try {
    const job = new Cron(cron!, { timezone: timezone ?? "UTC", paused: true });
    if (job.nextRun(new Date(start)) === null) throw new RangeError("it has no tick after now");
    return {
      after: (ms) => job.nextRun(new Date(ms))?.getTime(),
      // A tick at that very time counts.
      before: (ms) => job.previousRuns(1, new Date(ms + 1))[0]?.getTime(),
    };
  } catch (error) {
    throw new RangeError(
      `Cannot schedule ${show(name)} with ${show(cron)} as cron: ${
        reasonOf(error)
      }; give five fields, such as "0 9 * * 1-5"`,
      { cause: error },
    );
  }
}

/** Throws a TypeError unless this names a schedule. */
export function assertScheduleName(name: unknown): void {
  if (typeof name === "string" && name !== "" && name.length <= 200) return;
  throw new TypeError(`Cannot use ${show(name)} as the name of a schedule: give 1 to 200 characters`);
}
