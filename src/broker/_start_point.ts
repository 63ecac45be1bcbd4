import { show } from "../events/_check.ts";
import { firstPositionAt, isPosition, lastPositionAt, type Position } from "../store/mod.ts";
import type { StartFrom } from "./options.ts";

/** Where to start, in the store's terms: a Date becomes the lowest position of that time. */
export function startPoint(value: StartFrom, option: string): "beginning" | "now" | Position {
  if (value === "beginning" || value === "now") return value;
  return positionOf(value, option, "low", `"beginning", "now", `);
}

/**
 * A position as it is; for a Date, the lowest (`"low"`) or highest (`"high"`) position of that time.
 *
 * @param option The name of the option, for the error message.
 * @param others Other values that the option takes, for the error message.
 */
export function positionOf(value: Position | Date, option: string, end: "low" | "high", others = ""): Position {
  if (value instanceof Date && !Number.isNaN(value.getTime())) {
    return end === "low" ? firstPositionAt(value.getTime()) : lastPositionAt(value.getTime());
  }
  if (isPosition(value)) return value;
  throw new TypeError(
    `Cannot use ${show(value)} as ${option}: give ${others}a position such as "1767225600000-0", or a valid Date`,
  );
}
