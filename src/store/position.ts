/**
 * The position of an event in its stream: `"<ms>-<seq>"`, the time of the store's clock in milliseconds since the epoch,
 * and a counter within the millisecond. Positions of one stream are unique and rise. Two streams may have the same one.
 */
export type Position = `${number}-${number}`;

const FORM = /^(0|[1-9][0-9]{0,19})-(0|[1-9][0-9]{0,19})$/;
// Both parts of a position are unsigned 64-bit integers on Redis.
const LARGEST = "18446744073709551615";

/**
 * Returns true if `value` is a well-formed position.
 *
 * @example Check a position from outside
 * ```ts
 * import { isPosition } from "@tidings/broker/store";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(["1700000000000-0", "1700000000000", "1-01"].filter(isPosition), ["1700000000000-0"]);
 * ```
 */
export function isPosition(value: unknown): value is Position {
  if (typeof value !== "string") return false;
  const parts = FORM.exec(value);
  return parts !== null && fits(parts[1]!) && fits(parts[2]!);
}

function fits(digits: string): boolean {
  return digits.length < LARGEST.length || digits <= LARGEST;
}

/**
 * Compares two positions of one stream. Returns a number below, equal to or above zero, for `Array.prototype.sort`.
 *
 * @example Sort positions
 * ```ts
 * import { comparePositions, type Position } from "@tidings/broker/store";
 * import { assertEquals } from "@std/assert";
 *
 * const positions: Position[] = ["10-0", "9-2", "9-10"];
 * assertEquals(positions.sort(comparePositions), ["9-2", "9-10", "10-0"]);
 * ```
 */
export function comparePositions(a: Position, b: Position): number {
  if (a === b) return 0;
  const dashA = a.indexOf("-");
  const dashB = b.indexOf("-");
  return compareDigits(a.slice(0, dashA), b.slice(0, dashB)) || compareDigits(a.slice(dashA + 1), b.slice(dashB + 1));
}

// A part may exceed the largest safe integer. Numbers without leading zeros compare by length, then as text.
function compareDigits(a: string, b: string): number {
  return a.length - b.length || (a < b ? -1 : a > b ? 1 : 0);
}

/** Returns the time of a position: when the store appended the event, in milliseconds since the epoch by its clock. */
export function positionTime(position: Position): number {
  return Number(position.slice(0, position.indexOf("-")));
}

/**
 * Returns the lowest position of this time, in milliseconds since the epoch.
 *
 * @example Bounds of one millisecond
 * ```ts
 * import { firstPositionAt, lastPositionAt, positionTime } from "@tidings/broker/store";
 * import { assertEquals } from "@std/assert";
 *
 * const [from, to] = [firstPositionAt(1_700_000_000_000), lastPositionAt(1_700_000_000_000)];
 * assertEquals(from, "1700000000000-0");
 * assertEquals([positionTime(from), positionTime(to)], [1_700_000_000_000, 1_700_000_000_000]);
 * ```
 */
export function firstPositionAt(ms: number): Position {
  return `${Math.max(0, Math.floor(ms))}-0`;
}

/** Returns the highest position of this time, in milliseconds since the epoch. */
export function lastPositionAt(ms: number): Position {
  return `${Math.max(0, Math.floor(ms))}-${LARGEST}` as Position;
}
