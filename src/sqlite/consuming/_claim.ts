import type { Claim, ClaimedRecord, ClaimOptions, Position } from "../../store/mod.ts";
import type { Reach } from "../../store/_reach.ts";
import type { Database } from "../connection/_database.ts";
import { decodeFields, type EntryRow, positionOf, toRecord } from "../entries/_records.ts";
import { findStream, readPage, type StreamRow } from "../entries/_stream.ts";
import { assertGroup, type LiveConsumer, type Seat, touch } from "./_consumer.ts";
import { deferredFor, nextDeferred } from "./_deferred.ts";
import { holdsKeys } from "./_holds.ts";
import { controlOf, type GroupRow, nextNumber, takeRemoved } from "./_group.ts";

// The most deliveries of dead consumers that one claim parks: it must not hold the lock for long.
const MAX_RECOVERED = 1_000;

/** The result of one attempt to claim. */
export interface Found extends Omit<Claim, "disturbed"> {
  /** The group's epoch, which each rewind raises. */
  readonly epoch: number;
  /** The version of the group's control. */
  readonly controlVersion: number;
  /**
   * When to try again without a wake-up, in milliseconds since the epoch: a delivery falls due, or a lease may run out.
   */
  readonly nextChange: number;
}

interface Work {
  readonly db: Database;
  readonly now: number;
  readonly stream: StreamRow;
  readonly group: GroupRow;
  readonly consumer: LiveConsumer;
  readonly reach: Reach;
  readonly exclusive: boolean;
  readonly limit: number;
}

/** A returned delivery that may be taken: a parked or a deferred one. */
interface DueRow extends Omit<EntryRow, "n"> {
  /** Null if the entry was removed from the stream. */
  readonly n: number | null;
  /** The version that it was deferred for, if it was. */
  readonly version: number | null;
  /** The fields of a redriven dead letter whose entry was removed, as JSON. */
  readonly copy: string | null;
  readonly failures: number;
  readonly recovered: number;
  readonly retry_at: number | null;
}

/** What a member knows of its group. */
export interface Known {
  readonly epoch: number;
  readonly controlVersion: number;
}

/** Takes the deliveries that are available now, without waiting. To be called in a write transaction. */
export function claim(
  db: Database,
  now: number,
  seat: Seat,
  known: Known,
  { limit, newFirst = false }: Pick<ClaimOptions, "limit" | "newFirst">,
): Found {
  const group = assertGroup(db, seat);
  const { control_version: controlVersion } = group;
  if (limit === 0 || controlVersion !== known.controlVersion) {
    touch(db, now, seat);
    const control = controlVersion === known.controlVersion ? undefined : controlOf(group, now);
    return { records: [], missing: [], ...(control && { control }), epoch: known.epoch, controlVersion, nextChange: 0 };
  }
  const work: Work = {
    db,
    now,
    stream: findStream(db, seat.stream)!,
    group,
    consumer: touch(db, now, seat),
    reach: seat.reach,
    exclusive: seat.exclusive,
    limit,
  };
  const early = newFirst && !seat.exclusive ? takeNew(work) : [];
  const { taken, missing } = early.length > 0 ? { taken: early, missing: [] } : takeReturned(work);
  const records = taken.length > 0 ? taken : takeNew(work);
  const removed = takeRemoved(db, group);
  return {
    records,
    missing,
    ...(removed === undefined ? {} : { removed }),
    ...(group.when_dead !== null && holdsKeys(db, group.id) ? { holding: group.freed } : {}),
    epoch: group.epoch,
    controlVersion,
    nextChange: nextChange(db, group.id, seat),
  };
}

/** Returns when to try a claim: -Infinity if it would return something now. Only reads. */
export function nextClaim(db: Database, seat: Seat, { epoch, controlVersion }: Known): number {
  const group = assertGroup(db, seat);
  const stream = findStream(db, seat.stream)!;
  const changed = group.epoch !== epoch || group.control_version !== controlVersion;
  const ready = changed || group.removed > 0 || nextNumber(db, stream, group) < stream.next_n;
  return ready ? -Infinity : nextChange(db, group.id, seat);
}

// The next due delivery, or the first lease of another consumer to run out. The lease matters even if that consumer holds
// nothing: a dead consumer has to be removed.
function nextChange(db: Database, groupId: number, { consumer, reach }: Seat): number {
  const { due } = db.get<{ due: number | null }>(
    "SELECT min(due) AS due FROM delivery WHERE grp = ? AND due IS NOT NULL",
    groupId,
  )!;
  const { expires } = db.get<{ expires: number | null }>(
    "SELECT min(expires) AS expires FROM consumer WHERE grp = ? AND store_name <> ?",
    groupId,
    consumer,
  )!;
  return Math.min(due ?? Infinity, expires ?? Infinity, nextDeferred(db, groupId, reach));
}

// Parks the deliveries of dead consumers, so that any member can take them: now, or when their retry is due. One call
// parks a limited number; the next claim goes on.
function recoverDead({ db, now, group }: Pick<Work, "db" | "now" | "group">, most = MAX_RECOVERED): void {
  const dead = db.all<{ id: number }>(
    "SELECT id FROM consumer WHERE grp = ? AND expires <= ? ORDER BY id",
    group.id,
    now,
  );
  let room = most;
  for (const { id } of dead) {
    const changes = db.run(
      `UPDATE delivery SET owner = NULL, isolated = 0, recovered = recovered + 1, failures = failures + isolated,
          first_failed_at = iif(isolated, ifnull(first_failed_at, ?1), first_failed_at),
          last_failed_at = iif(isolated, ?1, last_failed_at),
          due = max(?1, ifnull(retry_at, 0))
        WHERE (grp, ms, seq) IN (SELECT grp, ms, seq FROM delivery WHERE owner = ?2 ORDER BY grp, ms, seq LIMIT ?3)`,
      now,
      id,
      room,
    );
    room -= changes;
    if (room === 0) return;
    db.run("DELETE FROM consumer WHERE id = ?", id);
  }
}

/** Takes all deliveries of dead consumers from them, in the transaction in which an exclusive consumer joins. */
export function endOthers(db: Database, now: number, group: GroupRow): void {
  recoverDead({ db, now, group }, Number.MAX_SAFE_INTEGER);
}

function takeReturned(work: Work): { taken: ClaimedRecord[]; missing: Position[] } {
  recoverDead(work);
  return takeDue(work);
}

function takeDue(work: Work): { taken: ClaimedRecord[]; missing: Position[] } {
  const { db, group, limit } = work;
  const taken: (DueRow & { readonly number: number })[] = [];
  const missing: Position[] = [];
  while (taken.length < limit) {
    const due = findDue(work, limit - taken.length);
    if (due.length === 0) break;
    for (const row of due) {
      if (row.copy !== null || row.n !== null) {
        const number = group.deliveries + taken.length + 1;
        hand(work, row, number);
        taken.push({ ...row, number });
      } else {
        db.run("DELETE FROM delivery WHERE grp = ? AND ms = ? AND seq = ?", group.id, row.ms, row.seq);
        missing.push(positionOf(row));
      }
    }
  }
  if (taken.length > 0) {
    db.run("UPDATE consumer_group SET deliveries = deliveries + ? WHERE id = ?", taken.length, group.id);
  }
  taken.sort((a, b) => a.ms - b.ms || a.seq - b.seq);
  return { taken: taken.map((row) => toClaimed(work, row)), missing };
}

const DUE_ROW = `SELECT d.ms, d.seq, copy, failures, recovered, retry_at, version, e.n, e.id, payload, fields
  FROM delivery d LEFT JOIN entry e ON e.stream = ? AND e.n = d.n`;

function findDue({ db, now, stream, group, reach, exclusive }: Work, limit: number): DueRow[] {
  const parked = exclusive ? findParked(db, stream, group, limit) : db.all<DueRow>(
    `${DUE_ROW} WHERE grp = ? AND due <= ? ORDER BY due, d.ms, d.seq LIMIT ?`,
    stream.id,
    group.id,
    now,
    limit,
  );
  if (parked.length > 0) return parked;
  return deferredFor(db, now, group.id, reach, limit).map(({ ms, seq }) =>
    db.get<DueRow>(`${DUE_ROW} WHERE grp = ? AND d.ms = ? AND d.seq = ?`, stream.id, group.id, ms, seq)!
  );
}

/** Returns parked deliveries in order of position, whether or not they are due. */
function findParked(db: Database, stream: StreamRow, group: GroupRow, limit: number): DueRow[] {
  // The index of due times only tells whether there are any: sorting all of them by position would cost each claim.
  const { due } = db.get<{ due: number | null }>(
    "SELECT min(due) AS due FROM delivery WHERE grp = ? AND due IS NOT NULL",
    group.id,
  )!;
  if (due === null) return [];
  return db.all<DueRow>(
    `${DUE_ROW} WHERE grp = ? AND +due IS NOT NULL ORDER BY d.ms, d.seq LIMIT ?`,
    stream.id,
    group.id,
    limit,
  );
}

function hand({ db, now, group, consumer }: Work, { ms, seq }: DueRow, number: number): void {
  db.run(
    `UPDATE delivery SET owner = ?, number = ?, due = NULL, retry_at = iif(retry_at > ?, retry_at, NULL), version = NULL,
        deferred_at = NULL
      WHERE grp = ? AND ms = ? AND seq = ?`,
    consumer.id,
    number,
    now,
    group.id,
    ms,
    seq,
  );
}

function toClaimed({ now, reach }: Work, row: DueRow & { readonly number: number }): ClaimedRecord {
  return {
    ...(row.retry_at !== null && row.retry_at > now ? { dueIn: row.retry_at - now } : {}),
    ...(row.version !== null && row.version > reach.version ? { expired: true } : {}),
    position: positionOf(row),
    fields: row.copy === null ? decodeFields(row) : JSON.parse(row.copy),
    attempt: row.failures + 1,
    recovered: row.recovered,
    fence: `${row.number}`,
  };
}

function takeNew({ db, stream, group, consumer, limit }: Work): ClaimedRecord[] {
  const next = nextNumber(db, stream, group);
  if (next === stream.next_n) return [];
  const rows = readPage(db, stream, next, stream.next_n, limit);
  const [first, last] = [rows[0], rows.at(-1)];
  if (first === undefined || last === undefined) {
    // The unread entries were deleted by hand. Skip their numbers, else every claim would look for them again.
    db.run("UPDATE consumer_group SET next_n = ? WHERE id = ?", stream.next_n, group.id);
    return [];
  }
  const before = group.deliveries + 1 - first.n;
  db.run(
    `INSERT INTO delivery (grp, ms, seq, n, owner, number)
      SELECT ?, ms, seq, n, ?, n + ? FROM entry WHERE stream = ? AND n >= ? AND n <= ?`,
    group.id,
    consumer.id,
    before,
    stream.id,
    first.n,
    last.n,
  );
  db.run(
    "UPDATE consumer_group SET next_n = ?, from_ms = NULL, from_seq = NULL, deliveries = ? WHERE id = ?",
    last.n + 1,
    last.n + before,
    group.id,
  );
  return rows.map((row) => ({ ...toRecord(row), attempt: 1, recovered: 0, fence: `${row.n + before}` }));
}
