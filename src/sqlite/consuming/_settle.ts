import type { Outcome, Position } from "../../store/mod.ts";
import type { Database } from "../connection/_database.ts";
import { decodeFields, placeOf } from "../entries/_records.ts";
import { groupById } from "./_group.ts";
import { BEFORE_ALL, isBehind, roomLeft } from "./_holds.ts";
import { consumerId, type Seat, THIS_DELIVERY, thisDelivery } from "./_consumer.ts";

/** The result of settling. */
export interface Settled {
  /** Positions of the deliveries that this member no longer had. */
  readonly refused: Position[];
  /** Whether a delivery went back to the group, so that waiting members have to look again. */
  readonly parked: boolean;
}

const COME_BACK: ReadonlySet<Outcome["kind"]> = new Set(["retry", "release", "defer", "wait"]);

/** SQL condition: the delivery has a copy, or its entry is still in the stream. */
const HAS_ENTRY = `(copy IS NOT NULL OR EXISTS (
  SELECT 1 FROM entry WHERE n = delivery.n AND stream = (SELECT stream FROM consumer_group WHERE id = delivery.grp)
))`;

/** Implements `settle` of the port. To be called in a write transaction. */
export function settle(db: Database, now: number, seat: Seat, outcomes: readonly Outcome[]): Settled {
  const refused: Position[] = [];
  let parked = false;
  let skipped = 0;
  let expired = 0;
  const owner = consumerId(db, seat);
  const waiting: Waiting = { room: undefined, due: undefined };
  for (const outcome of outcomes) {
    if (!apply(db, now, seat, owner, outcome, waiting)) refused.push(outcome.position);
    else {
      parked ||= COME_BACK.has(outcome.kind);
      if (outcome.kind === "skip") skipped++;
      if (outcome.kind === "expire") expired++;
    }
  }
  if (skipped > 0) db.run("UPDATE consumer_group SET skipped = skipped + ? WHERE id = ?", skipped, seat.groupId);
  if (expired > 0) db.run("UPDATE consumer_group SET expired = expired + ? WHERE id = ?", expired, seat.groupId);
  return { refused, parked };
}

/** What the outcome `wait` needs to know of the group; undefined until the first one needs it, since it takes time to find. */
interface Waiting {
  /** How many more deliveries may wait behind dead letters. */
  room: number | undefined;
  /** When a delivery is due that need not wait. */
  due: number | undefined;
}

/** Applies one outcome. Returns false if this member no longer has the delivery. */
function apply(
  db: Database,
  now: number,
  seat: Seat,
  owner: number,
  outcome: Outcome,
  waiting: Waiting,
): boolean {
  const which = thisDelivery(seat, owner, outcome);
  switch (outcome.kind) {
    case "ack":
    case "skip":
    case "expire":
      return db.run(`DELETE FROM delivery WHERE ${THIS_DELIVERY}`, ...which) === 1;
    case "isolate":
      return db.run(`UPDATE delivery SET isolated = 1 WHERE ${THIS_DELIVERY}`, ...which) === 1;
    case "retry": {
      const due = Math.ceil(now + outcome.delay);
      return db.run(
        `UPDATE delivery SET failures = max(failures, ?), recovered = 0, isolated = 0,
            first_failed_at = ifnull(first_failed_at, ?), last_failed_at = ?, retry_at = ?
            ${outcome.hold ? "" : ", owner = NULL, due = ?"}
          WHERE ${THIS_DELIVERY}`,
        outcome.attempt,
        now,
        now,
        due,
        ...(outcome.hold ? [] : [due]),
        ...which,
      ) === 1;
    }
    case "release": {
      const due = Math.ceil(now + (outcome.delay ?? 0));
      return db.run(
        `UPDATE delivery SET owner = NULL, isolated = 0, retry_at = ?, due = ? WHERE ${THIS_DELIVERY}`,
        outcome.delay ? due : null,
        due,
        ...which,
      ) === 1;
    }
    case "defer":
      // A removed entry waits for no version: the delivery is released, so that the next claim reports it.
      return db.run(
        `UPDATE delivery SET owner = NULL, isolated = 0, retry_at = NULL,
            version = iif(${HAS_ENTRY}, ?, NULL), deferred_at = iif(${HAS_ENTRY}, ?, NULL), due = iif(${HAS_ENTRY}, NULL, ?)
          WHERE ${THIS_DELIVERY}`,
        outcome.version,
        now,
        now,
        ...which,
      ) === 1;
    case "wait": {
      const room = waiting.room ??= roomLeft(db, seat.groupId);
      const waits = room > 0 && isBehind(db, seat.groupId, placeOf(outcome.position), outcome.key);
      const done = db.run(
        `UPDATE delivery SET owner = NULL, isolated = 0, retry_at = NULL, waits_for = ?, due = ? WHERE ${THIS_DELIVERY}`,
        waits ? JSON.stringify(outcome.key) : null,
        waits ? null : waiting.due ??= returnedDue(db, now, seat),
        ...which,
      ) === 1;
      if (done && waits) waiting.room = room - 1;
      return done;
    }
    case "dead":
      return moveToDeadLetters(db, now, seat, owner, outcome);
  }
}

/** A group that holds no keys treats `wait` as `release`. */
function returnedDue(db: Database, now: number, { groupId }: Seat): number {
  return groupById(db, groupId)!.when_dead === null ? Math.ceil(now) : BEFORE_ALL;
}

interface DyingRow {
  readonly ms: number;
  readonly seq: number;
  readonly copy: string | null;
  readonly n: number | null;
  readonly id: string | null;
  readonly payload: string | null;
  readonly fields: string | null;
  readonly first_failed_at: number | null;
  readonly last_failed_at: number | null;
}

function moveToDeadLetters(
  db: Database,
  now: number,
  seat: Seat,
  owner: number,
  outcome: Outcome & { readonly kind: "dead" },
): boolean {
  const which = thisDelivery(seat, owner, outcome);
  const row = db.get<DyingRow>(
    `SELECT delivery.ms, delivery.seq, copy, first_failed_at, last_failed_at, entry.n, entry.id, payload, fields
      FROM delivery LEFT JOIN entry ON entry.n = delivery.n AND
        entry.stream = (SELECT stream FROM consumer_group WHERE id = delivery.grp)
      WHERE ${THIS_DELIVERY}`,
    ...which,
  );
  if (row === undefined) return false;
  const { letters } = db.get<{ letters: number }>(
    "UPDATE consumer_group SET letters = letters + 1 WHERE id = ? RETURNING letters",
    seat.groupId,
  )!;
  const holds = outcome.key !== undefined && groupById(db, seat.groupId)!.when_dead !== null;
  db.run(
    `INSERT INTO letter (grp, id, ms, seq, fields, reason, attempts, first_failed_at, last_failed_at, consumer, error, key,
        holds) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    seat.groupId,
    letters,
    row.ms,
    row.seq,
    row.copy ?? JSON.stringify(row.n === null ? [] : decodeFields(row)),
    outcome.reason,
    outcome.attempts,
    row.first_failed_at ?? now,
    // With reason "died" the last failure was the death of a consumer, counted at recovery. Else it is this one.
    outcome.reason === "died" ? row.last_failed_at ?? now : now,
    seat.consumer,
    JSON.stringify(outcome.error),
    outcome.key === undefined ? null : JSON.stringify(outcome.key),
    Number(holds),
  );
  return db.run(`DELETE FROM delivery WHERE ${THIS_DELIVERY}`, ...which) === 1;
}
