import type { Position, StoredRecord } from "../store/mod.ts";
import type { GroupKeys } from "./_keys.ts";
import type { Link } from "./_link.ts";
import { parseEntries } from "./_replies.ts";

// What was read more recently than this, in ms, may be known in a moment: its answer is under way.
export const UNDER_WAY = 1_000;
const PAGE = 1_000;

/** An entry that belongs to a consumer without its knowing, and how often it was delivered now. */
export interface Orphan extends StoredRecord {
  readonly count: number;
}

/** What a read took whose answer was lost, or that a rewind overtook: it belongs to the consumer, and nobody knows. */
export async function adoptOrphans(
  { link, keys: { stream }, group, consumer }: {
    readonly link: Link;
    readonly keys: GroupKeys;
    readonly group: string;
    readonly consumer: string;
  },
  limit: number,
  isKnown: (position: Position) => boolean,
): Promise<Orphan[]> {
  const counts = new Map<Position, number>();
  for (let from: string = "-"; counts.size < limit;) {
    const rows = await link.send(
      ["XPENDING", stream, group, "IDLE", String(UNDER_WAY), from, "+", String(PAGE), consumer],
    );
    const page = rows as readonly (readonly [Position, string, number, number])[];
    for (const [position, , , count] of page) {
      if (counts.size < limit && !isKnown(position)) counts.set(position, count);
    }
    if (page.length < PAGE) break;
    from = `(${page.at(-1)![0]}`;
  }
  if (counts.size === 0) return [];
  const entries = await link.send(["XCLAIM", stream, group, consumer, "0", ...counts.keys()]);
  return parseEntries(entries).map((record) => ({ ...record, count: counts.get(record.position)! + 1 }));
}
