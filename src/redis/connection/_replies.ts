import type { Position, StoredRecord } from "../../store/mod.ts";
import type { Route } from "./_topology.ts";
import type { Reply } from "./client.ts";

// The largest sequence number of a position.
const LAST_SEQUENCE = 2n ** 64n - 1n;

/** Reads entries of XRANGE, XREADGROUP and XCLAIM replies. Deleted entries, which have no fields, are left out. */
export function parseEntries(reply: Reply): StoredRecord[] {
  if (!Array.isArray(reply)) return [];
  const records: StoredRecord[] = [];
  for (const entry of reply as readonly (readonly [Position, readonly string[] | null] | null)[]) {
    if (entry !== null && entry[1] !== null) records.push({ position: entry[0], fields: entry[1] });
  }
  return records;
}

/** Reads a flat list of names and values, as in an XINFO reply. */
export function parsePairs(reply: Reply): Map<string, Reply> {
  const list = reply as readonly Reply[];
  const pairs = new Map<string, Reply>();
  for (let at = 0; at + 1 < list.length; at += 2) pairs.set(String(list[at]), list[at + 1]!);
  return pairs;
}

/** Reads the reply of INFO, by field names. */
export function parseInfo(reply: Reply): Map<string, string> {
  return new Map([...String(reply).matchAll(/^(\w+):(.*?)\r?$/gm)].map(([, name, value]) => [name!, value!]));
}

/** The positions of a batch, which are consecutive. */
export function positionsFrom(first: string, count: number): Position[] {
  const dash = first.indexOf("-");
  const ms = first.slice(0, dash + 1);
  const sequence = first.slice(dash + 1);
  if (sequence.length > 15) {
    return Array.from({ length: count }, (_, nth) => `${ms}${BigInt(sequence) + BigInt(nth)}` as Position);
  }
  const start = Number(sequence);
  return Array.from({ length: count }, (_, nth) => `${ms}${start + nth}` as Position);
}

/** The position right before the given one. A Redis group that starts there first reads the given one. */
export function before(position: Position): string {
  const dash = position.indexOf("-");
  const ms = BigInt(position.slice(0, dash));
  const sequence = BigInt(position.slice(dash + 1));
  if (sequence > 0n) return `${ms}-${sequence - 1n}`;
  return ms > 0n ? `${ms - 1n}-${LAST_SEQUENCE}` : "0-0";
}

/** The position right after the given one. */
export function after(position: Position): Position {
  const dash = position.indexOf("-");
  const ms = BigInt(position.slice(0, dash));
  const sequence = BigInt(position.slice(dash + 1));
  return (sequence === LAST_SEQUENCE ? `${ms + 1n}-0` : `${ms}-${sequence + 1n}`) as Position;
}

/** The clock of the server, in milliseconds. */
export async function serverTime(route: Pick<Route, "send">): Promise<number> {
  const [seconds, micros] = await route.send(["TIME"]) as readonly [string, string];
  return Number(seconds) * 1_000 + Math.floor(Number(micros) / 1_000);
}
