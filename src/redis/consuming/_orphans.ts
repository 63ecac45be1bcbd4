import type { Position } from "../../store/mod.ts";
import type { GroupKeys } from "../_keys.ts";
import type { Route } from "../connection/_topology.ts";

// What was read more recently than this, in ms, may be known in a moment: its answer is under way.
export const UNDER_WAY = 1_000;
const PAGE = 1_000;

/** What an orphan belongs to. */
export interface OrphanContext {
  readonly link: Route;
  readonly keys: GroupKeys;
  readonly group: string;
  readonly consumer: string;
}

/**
 * Where entries stand that belong to a consumer without its knowing: what was taken by a read or a claim whose answer
 * was lost, or that a rewind overtook.
 */
export async function findOrphans(
  { link, keys: { stream, redrive }, group, consumer }: OrphanContext,
  limit: number,
  isKnown: (position: Position) => boolean,
): Promise<Position[]> {
  const found: Position[] = [];
  // Copies are few, and whose they are is looked at when they are adopted.
  const copies = await link.send(["HKEYS", redrive]) as readonly Position[];
  for (const position of copies) if (found.length < limit && !isKnown(position)) found.push(position);
  for (let from = "-"; found.length < limit;) {
    const rows = await link.send(
      ["XPENDING", stream, group, "IDLE", String(UNDER_WAY), from, "+", String(PAGE), consumer],
    );
    const page = rows as readonly (readonly [Position, string, number, number])[];
    for (const [position] of page) if (found.length < limit && !isKnown(position)) found.push(position);
    if (page.length < PAGE) break;
    from = `(${page.at(-1)![0]}`;
  }
  return found;
}
