import { firstPositionAt, type TrimOptions, type TrimResult } from "../../store/mod.ts";
import type { Database } from "../connection/_database.ts";
import { ROW_SIZE } from "../connection/_schema.ts";
import { allGroups, floorNumber } from "../consuming/_group.ts";
import { placeOf } from "../entries/_records.ts";
import { findStream, numberAt, type StreamRow } from "../entries/_stream.ts";

// A transaction locks out other connections and blocks the event loop of this process: so many entries take milliseconds.
const MOST_AT_ONCE = 2_000;

/** Implements `trim` of the port, in several transactions. */
export async function trim(db: Database, now: number, name: string, options: TrimOptions): Promise<TrimResult> {
  for (let removed = 0;;) {
    const step = await db.write(() => trimSome(db, now, name, options));
    removed += step.removed;
    if (step.removed < MOST_AT_ONCE) return { removed, pinnedBy: step.pinnedBy };
  }
}

function trimSome(
  db: Database,
  now: number,
  name: string,
  { maxAge = Infinity, maxLength = Infinity, maxBytes = Infinity, force = false }: TrimOptions,
): TrimResult {
  const stream = findStream(db, name);
  if (stream === undefined) return { removed: 0, pinnedBy: undefined };
  let allowed = Math.max(stream.first_n, stream.next_n - maxLength, firstWithin(db, stream, maxBytes));
  if (maxAge !== Infinity) allowed = Math.max(allowed, numberAt(db, stream, placeOf(firstPositionAt(now - maxAge))));
  let pinnedBy: string | undefined;
  for (const group of force ? [] : allGroups(db, stream)) {
    const floor = floorNumber(db, stream, group);
    if (floor < allowed) [allowed, pinnedBy] = [floor, group.name];
  }
  const first = Math.min(allowed, stream.first_n + MOST_AT_ONCE);
  if (first <= stream.first_n) return { removed: 0, pinnedBy };
  const removeEntries = () => db.run("DELETE FROM entry WHERE stream = ? AND n < ?", stream.id, first);
  // Only a forced trim removes unread entries. The trigger counts them only while `first_n` is not above them.
  if (force) removeEntries();
  db.run(
    `UPDATE stream SET first_n = ?1, bytes = iif(?1 = next_n, 0,
        max(0, bytes - (SELECT ifnull(sum(${ROW_SIZE}), 0) FROM entry WHERE stream = ?2 AND n < ?1))) WHERE id = ?2`,
    first,
    stream.id,
  );
  if (!force) removeEntries();
  return { removed: first - stream.first_n, pinnedBy };
}

/** The number of the first entry to keep, so that the stream takes at most so many bytes; at most one step away. */
function firstWithin(db: Database, { id, first_n, bytes }: StreamRow, maxBytes: number): number {
  let excess = bytes - maxBytes;
  if (excess <= 0) return first_n;
  const oldest = db.all<{ n: number; size: number }>(
    `SELECT n, ${ROW_SIZE} AS size FROM entry WHERE stream = ? AND n >= ? ORDER BY n LIMIT ?`,
    id,
    first_n,
    MOST_AT_ONCE,
  );
  const last = oldest.find(({ size }) => (excess -= size) <= 0) ?? oldest.at(-1);
  return last === undefined ? first_n : last.n + 1;
}
