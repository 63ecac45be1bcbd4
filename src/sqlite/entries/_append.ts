import type { AppendOptions, Fields, Position, Producer } from "../../store/mod.ts";
import { judge, PRODUCER_MEMORY, REMEMBERED_BATCHES } from "../../store/_producer.ts";
import type { Database } from "../connection/_database.ts";
import { encodeFields, type Place, positionOf } from "./_records.ts";
import { endOf, makeStream, type StreamRow } from "./_stream.ts";

interface ProducerRow {
  readonly id: number;
  readonly last: number;
}

interface BatchRow extends Place {
  readonly length: number;
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
  { producer, layout }: Pick<AppendOptions, "producer" | "layout">,
): Position[] | undefined {
  const stream = makeStream(db, name);
  const fenced = layout !== undefined && layout < stream.layout && records.length > 0;
  if (producer === undefined) return fenced ? undefined : positionsOf(insert(db, now, stream, records));
  const known = findProducer(db, now, stream, producer.id);
  const remembered = known && findBatch(db, known, producer.sequence);
  const verdict = judge(
    known && { last: known.last, answered: () => remembered?.length },
    producer,
    records.length === 0,
  );
  if (verdict === "answer") return positionsOf(remembered!);
  if (verdict === "refuse") return undefined;
  if (verdict === "append" && fenced) {
    remember(db, now, stream, producer, { ms: 0, seq: 0, length: 0 });
    return undefined;
  }
  const batch = insert(db, now, stream, records);
  remember(db, now, stream, producer, verdict === "append" ? batch : undefined);
  return positionsOf(batch);
}

// The positions of a batch are consecutive, so the first one and the length are enough.
function positionsOf({ ms, seq, length }: BatchRow): Position[] {
  return Array.from({ length }, (_, index) => positionOf({ ms, seq: seq + index }));
}

function insert(db: Database, now: number, stream: StreamRow, records: readonly Fields[]): BatchRow {
  const end = endOf(stream);
  // Positions must rise even if the clock stands still or goes back.
  const { ms, seq } = end.ms >= now ? end : { ms: now, seq: 0 };
  const { length } = records;
  if (length === 0) return { ms, seq, length };
  for (const [index, fields] of records.entries()) {
    db.run(
      "INSERT INTO entry (stream, n, ms, seq, id, payload, fields) VALUES (?, ?, ?, ?, ?, ?, ?)",
      stream.id,
      stream.next_n + index,
      ms,
      seq + index,
      ...encodeFields(fields),
    );
  }
  db.run(
    "UPDATE stream SET next_n = ?, last_ms = ?, last_seq = ? WHERE id = ?",
    stream.next_n + length,
    ms,
    seq + length - 1,
    stream.id,
  );
  return { ms, seq, length };
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
    "SELECT ms, seq, length FROM batch WHERE producer = ? AND sequence = ?",
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
    db.run("INSERT INTO batch VALUES (?, ?, ?, ?, ?)", id, sequence, batch.ms, batch.seq, batch.length);
  }
  db.run("DELETE FROM batch WHERE producer = ? AND sequence <= ?", id, sequence - REMEMBERED_BATCHES);
}
