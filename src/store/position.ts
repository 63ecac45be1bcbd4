/**
 * Where an event stands in its stream: `"<ms>-<seq>"`, the store's clock in milliseconds and a counter within the
 * millisecond. Unique in its stream and rising; two streams may hold the same one.
 */
export type Position = `${number}-${number}`;

const FORM = /^(0|[1-9][0-9]{0,19})-(0|[1-9][0-9]{0,19})$/;
const LARGEST = "18446744073709551615";

/** The last position there can be within one millisecond or in a stream: both parts are 64-bit on Redis. */
export const MAX_SEQUENCE: string = LARGEST;

/** True when `value` is a well-formed position. */
export function isPosition(value: unknown): value is Position {
  if (typeof value !== "string") return false;
  const parts = FORM.exec(value);
  return parts !== null && fits(parts[1]!) && fits(parts[2]!);
}

function fits(digits: string): boolean {
  return digits.length < LARGEST.length || digits <= LARGEST;
}

/** Orders two positions of one stream: negative, zero or positive, as `Array.prototype.sort` wants it. */
export function comparePositions(a: Position, b: Position): number {
  if (a === b) return 0;
  const dashA = a.indexOf("-");
  const dashB = b.indexOf("-");
  return compareDigits(a.slice(0, dashA), b.slice(0, dashB)) || compareDigits(a.slice(dashA + 1), b.slice(dashB + 1));
}

// The parts go up to 2^64 - 1, past what a Number holds exactly: canonical digits compare by length, then as text.
function compareDigits(a: string, b: string): number {
  return a.length - b.length || (a < b ? -1 : a > b ? 1 : 0);
}

/** The millisecond of a position: when the store took the event, by the store's clock. */
export function positionTime(position: Position): number {
  return Number(position.slice(0, position.indexOf("-")));
}

/** The first position that can bear this time, in milliseconds since the epoch. */
export function firstPositionAt(ms: number): Position {
  return `${Math.max(0, Math.floor(ms))}-0`;
}

/** The last position that can bear this time, in milliseconds since the epoch. */
export function lastPositionAt(ms: number): Position {
  return `${Math.max(0, Math.floor(ms))}-${LARGEST}` as Position;
}
