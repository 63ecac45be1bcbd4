import type { Position, ReadRange, StoredRecord } from "../../store/mod.ts";
import type { Changes } from "../connection/_changes.ts";
import type { Database } from "../connection/_database.ts";
import { type EntryRow, type Place, placeOf, toRecord } from "./_records.ts";

const PAGE_SIZE = 500;

/** A stream's own row. Its entries are numbered from `first_n` to the one before `next_n`. */
export interface StreamRow {
  readonly id: number;
  readonly first_n: number;
  readonly next_n: number;
  readonly last_ms: number | null;
  readonly last_seq: number | null;
}

/** The stream's row, if anything was ever appended to it or joined. */
export function findStream(db: Database, name: string): StreamRow | undefined {
  return db.get<StreamRow>("SELECT id, first_n, next_n, last_ms, last_seq FROM stream WHERE name = ?", name);
}

/** The stream's row, made where there is none. */
export function makeStream(db: Database, name: string): StreamRow {
  const stream = findStream(db, name);
  if (stream !== undefined) return stream;
  db.run("INSERT INTO stream (name) VALUES (?)", name);
  return findStream(db, name)!;
}

/** The first place after everything the stream ever had. */
export function endOf({ last_ms, last_seq }: StreamRow): Place {
  return last_ms === null || last_seq === null ? { ms: 0, seq: 0 } : { ms: last_ms, seq: last_seq + 1 };
}

/** The first entry that is there, from this number on. */
export function entryFrom(db: Database, stream: StreamRow, n: number): EntryRow | undefined {
  return db.get<EntryRow>(
    "SELECT n, ms, seq, id, payload, fields FROM entry WHERE stream = ? AND n >= ? ORDER BY n LIMIT 1",
    stream.id,
    n,
  );
}

/** The number of the first entry at or after a place. */
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

/** Reads a stream as the port says. */
export async function* readStream(
  db: Database,
  changes: Changes,
  name: string,
  { from, after, to, limit = Infinity, reverse = false, follow = false, signal }: ReadRange,
): AsyncGenerator<readonly StoredRecord[]> {
  // Known once there is an entry within the bounds: one to come may still lie before a position that is yet to come.
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

/** The entries with numbers from `low` to the one before `high`, as many as `size`. */
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
