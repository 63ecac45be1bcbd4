import type { Revised, RevisedOptions, RevisedRecord, StoredRecord, SubjectRange } from "../../store/mod.ts";
import { conflict, layoutChanged } from "../../store/_producer.ts";
import type { Database } from "../connection/_database.ts";
import { appendOnce, insert, type NewEntry, NOTHING, positionsOf } from "./_append.ts";
import { type EntryRow, toRecord } from "./_records.ts";
import { findStream, makeStream, type StreamRow } from "./_stream.ts";

const PAGE_SIZE = 500;

interface SubjectRow {
  readonly id: number;
  readonly revision: number;
}

/**
 * Implements `appendRevised` of the port. To be called in a write transaction, which also keeps that a batch was refused: so the
 * error of a refusal is returned, and not thrown.
 */
export function appendRevised(
  db: Database,
  now: number,
  name: string,
  records: readonly RevisedRecord[],
  options: RevisedOptions,
): readonly Revised[] | Error {
  const stream = makeStream(db, name);
  const { expected } = options;
  const batch = appendOnce(db, now, stream, options, records.length, () => {
    const last = lastRevisions(db, stream, records);
    if (expected !== undefined) {
      const { subject } = expected;
      const found = last.get(subject)?.revision ?? findSubject(db, stream, subject)?.revision ?? 0;
      if (found !== expected.revision) return { ...NOTHING, conflict: found };
    }
    return insert(db, now, stream, numbered(db, stream, records, last));
  });
  if (batch === undefined) return layoutChanged(name, options.layout);
  if (batch.conflict !== null) return conflict(name, expected, batch.conflict);
  const revisions: readonly number[] = batch.revisions === null ? [] : JSON.parse(batch.revisions);
  return positionsOf(batch).map((position, nth) => ({ position, revision: revisions[nth]! }));
}

/** The last revision of each subject of the records; that of its base if it is higher. */
function lastRevisions(db: Database, stream: StreamRow, records: readonly RevisedRecord[]) {
  const last = new Map<string, { revision: number }>();
  for (const { subject, base = 0 } of records) {
    const known = last.get(subject) ?? { revision: findSubject(db, stream, subject)?.revision ?? 0 };
    known.revision = Math.max(known.revision, base);
    last.set(subject, known);
  }
  return last;
}

/** The entries with their revisions; the subjects have them from now on. */
function numbered(
  db: Database,
  stream: StreamRow,
  records: readonly RevisedRecord[],
  last: ReadonlyMap<string, { revision: number }>,
): NewEntry[] {
  const revisions = records.map(({ subject }) => ++last.get(subject)!.revision);
  const ids = new Map<string, number>();
  for (const [subject, { revision }] of last) {
    const { id } = db.get<{ id: number }>(
      `INSERT INTO subject (stream, name, revision) VALUES (?, ?, ?)
        ON CONFLICT DO UPDATE SET revision = excluded.revision RETURNING id`,
      stream.id,
      subject,
      revision,
    )!;
    ids.set(subject, id);
  }
  return records.map(({ fields, subject }, nth) => ({
    fields: [...fields, "revision", String(revisions[nth])],
    subject: ids.get(subject)!,
    revision: revisions[nth]!,
  }));
}

function findSubject(db: Database, stream: StreamRow, name: string): SubjectRow | undefined {
  return db.get<SubjectRow>("SELECT id, revision FROM subject WHERE stream = ? AND name = ?", stream.id, name);
}

/** Implements `revision` of the port. */
export function lastRevision(db: Database, name: string, subject: string): Promise<number> {
  return db.read(() => {
    const stream = findStream(db, name);
    return (stream && findSubject(db, stream, subject)?.revision) ?? 0;
  });
}

/** Implements `readSubject` of the port. */
export async function* readSubject(
  db: Database,
  name: string,
  subject: string,
  { fromRevision = 1, toRevision = Number.MAX_SAFE_INTEGER, limit = Infinity, reverse = false, signal }: SubjectRange,
): AsyncGenerator<readonly StoredRecord[]> {
  let [low, high] = [fromRevision, toRevision];
  for (let left = limit; left > 0;) {
    signal?.throwIfAborted();
    const page = await db.read(() => {
      const stream = findStream(db, name);
      const found = stream && findSubject(db, stream, subject);
      return found === undefined ? [] : readPage(db, found.id, low, high, Math.min(PAGE_SIZE, left), reverse);
    });
    signal?.throwIfAborted();
    if (page.length === 0) return;
    left -= page.length;
    const { revision } = page.at(-1)!;
    if (reverse) high = revision - 1;
    else low = revision + 1;
    yield page.map(toRecord);
  }
}

function readPage(db: Database, subject: number, low: number, high: number, size: number, reverse: boolean) {
  return db.all<EntryRow & { readonly revision: number }>(
    `SELECT n, ms, seq, id, payload, fields, revision FROM entry WHERE subject = ? AND revision BETWEEN ? AND ?
      ORDER BY revision ${reverse ? "DESC" : "ASC"} LIMIT ?`,
    subject,
    low,
    high,
    size,
  );
}
