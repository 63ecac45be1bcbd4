import type { Position } from "../../store/mod.ts";
import type { GroupKeys } from "../_keys.ts";
import type { Route } from "../connection/_topology.ts";

/** The reply of a read or claim may still be on its way for this long, in milliseconds. */
export const REPLY_TIME = 1_000;
const PAGE = 1_000;

/** The consumer whose orphans are looked for. */
export interface OrphanContext {
  readonly link: Route;
  readonly keys: GroupKeys;
  readonly group: string;
  readonly consumer: string;
}

/**
 * Finds deliveries that the server has given to this consumer without the consumer knowing: the reply of a read or claim
 * was lost, or a rewind came between the read and its reply. Some of the positions may belong to other consumers; the
 * script ADOPT sorts these out.
 *
 * @param idle How long a delivery was not touched, in milliseconds, because its reply may still be on its way.
 */
export async function findOrphans(
  { link, keys: { stream, redrive }, group, consumer }: OrphanContext,
  limit: number,
  isKnown: (position: Position) => boolean,
  idle: number,
): Promise<Position[]> {
  const found: Position[] = [];
  // Copies of removed entries are few. Only their values tell the owner, which ADOPT reads.
  const copies = await link.send(["HKEYS", redrive]) as readonly Position[];
  for (const position of copies) if (found.length < limit && !isKnown(position)) found.push(position);
  for (let from = "-"; found.length < limit;) {
    const rows = await link.send(
      ["XPENDING", stream, group, "IDLE", String(idle), from, "+", String(PAGE), consumer],
    );
    const page = rows as readonly (readonly [Position, string, number, number])[];
    for (const [position] of page) if (found.length < limit && !isKnown(position)) found.push(position);
    if (page.length < PAGE) break;
    from = `(${page.at(-1)![0]}`;
  }
  return found;
}
