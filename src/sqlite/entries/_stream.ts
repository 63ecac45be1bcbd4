import type { Position, ReadRange, StoredRecord } from "../../store/mod.ts";
import type { Changes } from "../connection/_changes.ts";
import type { Database } from "../connection/_database.ts";
import { type EntryRow, type Place, placeOf, toRecord } from "./_records.ts";

const PAGE_SIZE = 500;

/** The row of a stream. */
export interface StreamRow {
  readonly id: number;
  /** The number of the first entry. */
  readonly first_n: number;
  /** The number of the next entry to be appended. */
  readonly next_n: number;
  /** The highest position ever given; null before the first append. */
  readonly last_ms: number | null;
  readonly last_seq: number | null;
  /** Appends of lower layouts are refused. */
  readonly layout: number;
  /** The size of its entries, as {@linkcode rowSize} measures it. */
  readonly bytes: number;
}

/** Returns the row of a stream; undefined if no append or join has created it yet. */
export function findStream(db: Database, name: string): StreamRow | undefined {
  return db.get<StreamRow>(
    "SELECT id, first_n, next_n, last_ms, last_seq, layout, bytes FROM stream WHERE name = ?",
    name,
  );
}

/** Returns the row of a stream. Creates it if it is missing. */
export function makeStream(db: Database, name: string): StreamRow {
  const stream = findStream(db, name);
  if (stream !== undefined) return stream;
  db.run("INSERT INTO stream (name) VALUES (?)", name);
  return findStream(db, name)!;
}

/** The place right after the highest position that the stream ever gave. */
export function endOf({ last_ms, last_seq }: StreamRow): Place {
  return last_ms === null || last_seq === null ? { ms: 0, seq: 0 } : { ms: last_ms, seq: last_seq + 1 };
}

/** Returns the first entry whose number is `n` or higher. */
export function entryFrom(db: Database, stream: StreamRow, n: number): EntryRow | undefined {
  return db.get<EntryRow>(
    "SELECT n, ms, seq, id, payload, fields FROM entry WHERE stream = ? AND n >= ? ORDER BY n LIMIT 1",
    stream.id,
    n,
  );
}

/** Returns the number of the first entry at or after a place; that of the next append if there is none. */
export function numberAt(db: Database, stream: StreamRow, { ms, seq }: Place): number {
  const found = db.get<{ n: number }>(
    "SELECT n FROM entry WHERE stream = ? AND (ms, seq) >= (?, ?) ORDER BY ms, seq LIMIT 1",
    stream.id,
    ms,
    seq,
  );
  return found?.n ?? stream.next_n;
}

function numberAfter(db: Database, stream: StreamRow, position: Position): number {
  const { ms, seq } = placeOf(position);
  return numberAt(db, stream, { ms, seq: seq + 1 });
}

/** Implements `read` of the port. */
export async function* readStream(
  db: Database,
  changes: Changes,
  name: string,
  { from, after, to, limit = Infinity, reverse = false, follow = false, signal }: ReadRange,
): AsyncGenerator<readonly StoredRecord[]> {
  // Both bounds are entry numbers. `low` stays unknown until an entry is within the bounds: `from` and `after` may be
  // positions of the future, and entries may be appended before them.
  let low: number | undefined;
  let high: number | undefined;
  for (let left = limit; left > 0;) {
    signal?.throwIfAborted();
    const seen = changes.count(name);
    const page = await db.read(() => {
      const stream = findStream(db, name);
      if (stream === undefined) return [];
      const start = low ?? Math.max(
        from === undefined ? 0 : numberAt(db, stream, placeOf(from)),
        after === undefined ? 0 : numberAfter(db, stream, after),
      );
      if (start < stream.next_n) low = start;
      if (!reverse || high === undefined) high = to === undefined ? stream.next_n : numberAfter(db, stream, to);
      return readPage(db, stream, start, high, Math.min(PAGE_SIZE, left), reverse);
    });
    signal?.throwIfAborted();
    const last = page.at(-1);
    if (last !== undefined) {
      if (reverse) high = last.n;
      else low = last.n + 1;
      left -= page.length;
      yield page.map(toRecord);
    } else if (follow) {
      await changes.wait(name, seen, signal);
    } else return;
  }
}

/** Returns at most `size` entries with numbers from `low`, inclusive, to `high`, exclusive. */
export function readPage(
  db: Database,
  stream: StreamRow,
  low: number,
  high: number,
  size: number,
  reverse = false,
): EntryRow[] {
  return db.all<EntryRow>(
    `SELECT n, ms, seq, id, payload, fields FROM entry WHERE stream = ? AND n >= ? AND n < ?
      ORDER BY n ${reverse ? "DESC" : "ASC"} LIMIT ?`,
    stream.id,
    low,
    high,
    size,
  );
}
