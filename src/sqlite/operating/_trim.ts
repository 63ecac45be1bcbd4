import { setImmediate } from "node:timers/promises";
import { firstPositionAt, type TrimOptions, type TrimResult } from "../../store/mod.ts";
import type { Database } from "../connection/_database.ts";
import { ROW_SIZE } from "../connection/_schema.ts";
import { allGroups, floorNumber } from "../consuming/_group.ts";
import { placeOf } from "../entries/_records.ts";
import { findStream, numberAt, type StreamRow } from "../entries/_stream.ts";

// A transaction locks out other connections and blocks the event loop of this process: so many small entries take
// milliseconds, and so many bytes tenths of a second. Smaller steps would pay for more checkpoints.
const MOST_AT_ONCE = 2_000;
const MOST_BYTES_AT_ONCE = 64 * 2 ** 20;

interface Step extends TrimResult {
  /** Whether the next step may remove more. */
  readonly more: boolean;
}

/** Entries to remove in one step: those below a number, and their size in bytes. */
interface Cut {
  readonly below: number;
  readonly sizes: readonly { readonly n: number; readonly size: number }[];
  /** Whether there are more entries beyond the bounds. */
  readonly more: boolean;
}

/** Implements `trim` of the port, in several transactions. */
export async function trim(db: Database, now: number, name: string, options: TrimOptions): Promise<TrimResult> {
  for (let removed = 0;;) {
    const step = await db.write(() => trimSome(db, now, name, options));
    removed += step.removed;
    if (!step.more) return { removed, pinnedBy: step.pinnedBy };
    // Other work of this process goes on between two steps.
    await setImmediate();
  }
}

function trimSome(
  db: Database,
  now: number,
  name: string,
  { maxAge = Infinity, maxLength = Infinity, maxBytes = Infinity, force = false }: TrimOptions,
): Step {
  const stream = findStream(db, name);
  if (stream === undefined) return { removed: 0, pinnedBy: undefined, more: false };
  let wanted = Math.max(stream.first_n, stream.next_n - maxLength);
  if (maxAge !== Infinity) wanted = Math.max(wanted, numberAt(db, stream, placeOf(firstPositionAt(now - maxAge))));
  const { below, sizes, more } = cutOf(db, stream, wanted, maxBytes);
  let first = below;
  let pinnedBy: string | undefined;
  for (const group of force ? [] : allGroups(db, stream)) {
    const floor = floorNumber(db, stream, group);
    if (floor < first) [first, pinnedBy] = [floor, group.name];
  }
  if (first <= stream.first_n) return { removed: 0, pinnedBy, more: false };
  const removeEntries = () => db.run("DELETE FROM entry WHERE stream = ? AND n < ?", stream.id, first);
  // Only a forced trim removes unread entries. The trigger counts them, and their bytes, only while `first_n` is not above
  // them.
  if (force) removeEntries();
  const size = force ? 0 : sizes.reduce((sum, { n, size }) => n < first ? sum + size : sum, 0);
  db.run(
    "UPDATE stream SET first_n = ?1, bytes = iif(?1 = next_n, 0, max(0, bytes - ?2)) WHERE id = ?3",
    first,
    size,
    stream.id,
  );
  if (!force) removeEntries();
  return { removed: first - stream.first_n, pinnedBy, more: more && pinnedBy === undefined };
}

/** The entries of one step: those below the number `wanted`, and as many as have to go for the rest to fit `maxBytes`. */
function cutOf(db: Database, { id, first_n, next_n, bytes }: StreamRow, wanted: number, maxBytes: number): Cut {
  let excess = bytes - maxBytes;
  if (wanted <= first_n && excess <= 0) return { below: first_n, sizes: [], more: false };
  const sizes = db.all<{ n: number; size: number }>(
    `SELECT n, ${ROW_SIZE} AS size FROM entry WHERE stream = ? AND n >= ? ORDER BY n LIMIT ?`,
    id,
    first_n,
    MOST_AT_ONCE,
  );
  let below = first_n;
  let size = 0;
  for (const row of sizes) {
    if (row.n >= wanted && excess <= 0) return { below: Math.max(below, wanted), sizes, more: false };
    if (size >= MOST_BYTES_AT_ONCE) return { below, sizes, more: true };
    below = row.n + 1;
    size += row.size;
    excess -= row.size;
  }
  if (sizes.length === MOST_AT_ONCE) return { below, sizes, more: true };
  // There are no more entries: the numbers that are left belong to rows that were deleted by hand.
  return { below: excess > 0 ? next_n : Math.max(below, wanted), sizes, more: false };
}
