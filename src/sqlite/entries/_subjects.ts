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
    const shares = sharesOf(records);
    if (expected !== undefined) {
      const { subject } = expected;
      const found = Math.max(findSubject(db, stream, subject)?.revision ?? 0, shares.get(subject)?.base ?? 0);
      if (found !== expected.revision) return { ...NOTHING, conflict: found };
    }
    return insert(db, now, stream, numbered(db, stream, records, shares));
  });
  if (batch === undefined) return layoutChanged(name, options.layout);
  if (batch.conflict !== null) return conflict(name, expected, batch.conflict);
  const revisions: readonly number[] = batch.revisions === null ? [] : JSON.parse(batch.revisions);
  return positionsOf(batch).map((position, nth) => ({ position, revision: revisions[nth]! }));
}

/** What a batch has of one subject. */
interface Share {
  /** How many entries. */
  count: number;
  /** The highest base. */
  base: number;
}

function sharesOf(records: readonly RevisedRecord[]): ReadonlyMap<string, Share> {
  const shares = new Map<string, Share>();
  for (const { subject, base = 0 } of records) {
    const share = shares.get(subject);
    if (share === undefined) shares.set(subject, { count: 1, base });
    else {
      share.count++;
      share.base = Math.max(share.base, base);
    }
  }
  return shares;
}

/** The entries with their revisions, which their subjects have from now on. */
function numbered(
  db: Database,
  stream: StreamRow,
  records: readonly RevisedRecord[],
  shares: ReadonlyMap<string, Share>,
): NewEntry[] {
  const next = new Map<string, { readonly id: number; revision: number }>();
  for (const [subject, { count, base }] of shares) {
    const { id, revision } = db.get<SubjectRow>(
      `INSERT INTO subject (stream, name, revision) VALUES (?1, ?2, ?3 + ?4)
        ON CONFLICT DO UPDATE SET revision = max(revision, ?3) + ?4 RETURNING id, revision`,
      stream.id,
      subject,
      base,
      count,
    )!;
    next.set(subject, { id, revision: revision - count + 1 });
  }
  return records.map(({ fields, subject }) => {
    const { id, revision } = next.get(subject)!;
    next.get(subject)!.revision++;
    return { fields: [...fields, "revision", String(revision)], subject: id, revision };
  });
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
