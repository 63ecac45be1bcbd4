import type { Fields } from "../../store/mod.ts";
import type { MissedTicks, ScheduleRule } from "../options.ts";

/** An event of a tick that one broker has claimed. Another one stores it if that broker does not. */
export interface TickClaim {
  /** The broker that claimed it. */
  readonly by: string;
  /** When, by the clock of the store in milliseconds since the epoch. */
  readonly at: number;
  /** The stream that all partitions belong to. */
  readonly logical: string;
  /** The stream in the store, and the layout by which it was chosen. */
  readonly stream: string;
  readonly layout: number | undefined;
  readonly subject: string | undefined;
  /** The event, encoded: whoever stores it stores the same. */
  readonly fields: Fields;
}

/** A schedule, as the store keeps it. */
export interface Definition {
  readonly rule: ScheduleRule;
  readonly missed: MissedTicks;
  /** Another one for each definition of the name, so that its ticks are numbered anew. */
  readonly id: string;
  /** When it was defined, in milliseconds since the epoch. */
  readonly start: number;
  /** The last tick that was claimed or left out, in milliseconds since the epoch; at first, when it was defined. */
  readonly last: number;
  /** How many ticks were claimed: the number of the last one. */
  readonly count: number;
  readonly claim?: TickClaim;
}

/** Whether both have the same ticks. */
export function isSame(definition: Definition, rule: ScheduleRule, missed: MissedTicks): boolean {
  const { cron, timezone, every } = definition.rule;
  return cron === rule.cron && timezone === rule.timezone && every === rule.every && definition.missed === missed;
}

/** The names of all schedules, in the text of the shared state that lists them. */
export function namesIn(text: string | undefined): readonly string[] {
  return text === undefined ? [] : JSON.parse(text);
}

/** Reads the text of the shared state of a schedule. */
export function definitionIn(text: string | undefined): Definition | undefined {
  return text === undefined ? undefined : JSON.parse(text);
}
