import type { When } from "./schedule.ts";

/** How many bytes of entries one step of a schedule appends or hands out, approximately. */
export const STEP_BYTES: number = 2 ** 20;

/** The due time of an entry, in milliseconds since the epoch. */
export function dueAt(when: When, now: number): number {
  return "at" in when ? Math.max(now, Math.floor(when.at)) : now + Math.max(0, Math.ceil(when.delay));
}
