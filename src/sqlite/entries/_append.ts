import type { AppendOptions, Fields, Position, Producer } from "../../store/mod.ts";
import { judge, PRODUCER_MEMORY, REMEMBERED_BATCHES } from "../../store/_producer.ts";
import type { Database } from "../connection/_database.ts";
import { encodeFields, type Place, positionOf, rowSize } from "./_records.ts";
import { endOf, makeStream, type StreamRow } from "./_stream.ts";

interface ProducerRow {
  readonly id: number;
  readonly last: number;
}

/** A batch. The positions of its entries are consecutive, so the first one and the length are enough. */
export interface BatchRow extends Place {
  readonly length: number;
  /** The revisions of its entries as a JSON array, if they have any; of scheduled entries, their due times. */
  readonly revisions: string | null;
  /** The revision found, if the batch was refused because another one was expected. */
  readonly conflict: number | null;
}

/** An entry to be inserted. */
export interface NewEntry {
  readonly fields: Fields;
  /** The row of its subject, and its revision. */
  readonly subject?: number;
  readonly revision?: number;
}

/**
 * Implements `append` of the port. To be called in a write transaction, which also keeps that a batch was refused: so a
 * batch that is refused for its layout throws nothing, and returns undefined.
 */
export function append(
  db: Database,
  now: number,
  name: string,
  records: readonly Fields[],
  options: AppendOptions,
): Position[] | undefined {
  const stream = makeStream(db, name);
  const entries = records.map((fields) => ({ fields }));
  const batch = appendOnce(db, now, stream, options, records.length, () => insert(db, now, stream, entries));
  return batch && positionsOf(batch);
}

/**
 * Appends a batch of `count` records once; the same batch gives the same row again. Undefined for a batch that is refused
 * for its layout.
 */
export function appendOnce(
  db: Database,
  now: number,
  stream: StreamRow,
  { producer, layout }: AppendOptions,
  count: number,
  add: () => BatchRow,
): BatchRow | undefined {
  const fenced = layout !== undefined && layout < stream.layout && count > 0;
  if (producer === undefined) return fenced ? undefined : add();
  const known = findProducer(db, now, stream, producer.id);
  const remembered = known && findBatch(db, known, producer.sequence);
  const length = remembered && remembered.conflict !== null ? 1 : remembered?.length;
  const verdict = judge(known && { last: known.last, answered: () => length }, producer, count === 0);
  if (verdict === "answer") return remembered!;
  if (verdict === "refuse") return undefined;
  const batch = verdict === "give-up" ? undefined : fenced ? NOTHING : add();
  remember(db, now, stream, producer, batch);
  return fenced ? undefined : batch ?? NOTHING;
}

/** The positions of a batch. */
export function positionsOf({ ms, seq, length }: BatchRow): Position[] {
  return Array.from({ length }, (_, index) => positionOf({ ms, seq: seq + index }));
}

/** The row of a batch without entries: one that was given up, or refused for its layout. */
export const NOTHING: BatchRow = { ms: 0, seq: 0, length: 0, revisions: null, conflict: null };

/** Inserts entries at the end of the stream. */
export function insert(db: Database, now: number, stream: StreamRow, entries: readonly NewEntry[]): BatchRow {
  const { length } = entries;
  if (length === 0) return NOTHING;
  const end = endOf(stream);
  // Positions must rise even if the clock stands still or goes back.
  const { ms, seq } = end.ms >= now ? end : { ms: now, seq: 0 };
  let bytes = 0;
  for (const [index, { fields, subject = null, revision = null }] of entries.entries()) {
    const columns = encodeFields(fields);
    bytes += rowSize(columns);
    db.run(
      "INSERT INTO entry (stream, n, ms, seq, id, payload, fields, subject, revision) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
      stream.id,
      stream.next_n + index,
      ms,
      seq + index,
      ...columns,
      subject,
      revision,
    );
  }
  db.run(
    "UPDATE stream SET next_n = ?, last_ms = ?, last_seq = ?, bytes = bytes + ? WHERE id = ?",
    stream.next_n + length,
    ms,
    seq + length - 1,
    bytes,
    stream.id,
  );
  const revisions = entries[0]!.revision === undefined ? null : JSON.stringify(entries.map(({ revision }) => revision));
  return { ms, seq, length, revisions, conflict: null };
}

function findProducer(db: Database, now: number, stream: StreamRow, name: string): ProducerRow | undefined {
  const found = db.get<ProducerRow>("SELECT id, last FROM producer WHERE stream = ? AND name = ?", stream.id, name);
  if (found === undefined) {
    // Clean up here, since a new producer is rare: delete producers that have expired.
    db.run(
      "DELETE FROM batch WHERE producer IN (SELECT id FROM producer WHERE stream = ? AND expires <= ?)",
      stream.id,
      now,
    );
    db.run("DELETE FROM producer WHERE stream = ? AND expires <= ?", stream.id, now);
  }
  return found;
}

function findBatch(db: Database, producer: ProducerRow, sequence: number): BatchRow | undefined {
  return db.get<BatchRow>(
    "SELECT ms, seq, length, revisions, conflict FROM batch WHERE producer = ? AND sequence = ?",
    producer.id,
    sequence,
  );
}

function remember(
  db: Database,
  now: number,
  stream: StreamRow,
  { id: name, sequence }: Producer,
  batch: BatchRow | undefined,
): void {
  const { id } = db.get<{ id: number }>(
    `INSERT INTO producer (stream, name, last, expires) VALUES (?, ?, ?, ?)
      ON CONFLICT DO UPDATE SET last = max(last, excluded.last), expires = excluded.expires RETURNING id`,
    stream.id,
    name,
    sequence,
    now + PRODUCER_MEMORY,
  )!;
  if (batch !== undefined) {
    const { ms, seq, length, revisions, conflict } = batch;
    db.run("INSERT INTO batch VALUES (?, ?, ?, ?, ?, ?, ?)", id, sequence, ms, seq, length, revisions, conflict);
  }
  db.run("DELETE FROM batch WHERE producer = ? AND sequence <= ?", id, sequence - REMEMBERED_BATCHES);
}
