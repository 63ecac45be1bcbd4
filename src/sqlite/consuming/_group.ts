import type { GroupState, MemberOptions, Position, RemovedRange } from "../../store/mod.ts";
import { comparePositions } from "../../store/mod.ts";
import type { Database } from "../connection/_database.ts";
import { type Place, placeOf, positionOf } from "../entries/_records.ts";
import { endOf, entryFrom, numberAt, type StreamRow } from "../entries/_stream.ts";
import { deferredState } from "./_deferred.ts";

/** Where a group reads next: an entry's number, and a place when it waits for one that is still to come. */
export interface Cursor {
  readonly next_n: number;
  readonly from_ms: number | null;
  readonly from_seq: number | null;
}

/** A group's own row. */
export interface GroupRow extends Cursor {
  readonly id: number;
  readonly name: string;
  /** Raised by every rewind, for members to see. */
  readonly epoch: number;
  /** How many deliveries there ever were: the number of the last one. */
  readonly deliveries: number;
  /** How many unread entries were deleted since a member was last told. */
  readonly removed: number;
}

const GROUP = "SELECT id, name, epoch, deliveries, removed, next_n, from_ms, from_seq FROM consumer_group";

/** All groups of a stream, in the order in which they were made. */
export function allGroups(db: Database, stream: StreamRow): GroupRow[] {
  return db.all<GroupRow>(`${GROUP} WHERE stream = ? ORDER BY id`, stream.id);
}

/** The group of that name. */
export function findGroup(db: Database, stream: StreamRow, name: string): GroupRow | undefined {
  return db.get<GroupRow>(`${GROUP} WHERE stream = ? AND name = ?`, stream.id, name);
}

/** The group of that number; a group that is made anew under an old name has another one. */
export function groupById(db: Database, id: number): GroupRow | undefined {
  return db.get<GroupRow>(`${GROUP} WHERE id = ?`, id);
}

/** The group of that name, made where there is none. */
export function makeGroup(
  db: Database,
  stream: StreamRow,
  name: string,
  startFrom: MemberOptions["startFrom"],
): GroupRow {
  const group = findGroup(db, stream, name);
  if (group !== undefined) return group;
  const { next_n, from_ms, from_seq } = seek(db, stream, startFrom);
  db.run(
    "INSERT INTO consumer_group (stream, name, next_n, from_ms, from_seq) VALUES (?, ?, ?, ?, ?)",
    stream.id,
    name,
    next_n,
    from_ms,
    from_seq,
  );
  return findGroup(db, stream, name)!;
}

function seek(db: Database, stream: StreamRow, to: MemberOptions["startFrom"]): Cursor {
  if (to === "beginning") return { next_n: stream.first_n, from_ms: null, from_seq: null };
  if (to === "now") return { next_n: stream.next_n, from_ms: null, from_seq: null };
  const { ms, seq } = placeOf(to);
  const next_n = numberAt(db, stream, { ms, seq });
  const ahead = next_n === stream.next_n;
  return { next_n, from_ms: ahead ? ms : null, from_seq: ahead ? seq : null };
}

/** The number of the entry that the group reads next; that of the stream's next one when it has read all there are. */
export function nextNumber(db: Database, stream: StreamRow, { next_n, from_ms, from_seq }: Cursor): number {
  const from = from_ms === null || from_seq === null ? 0 : numberAt(db, stream, { ms: from_ms, seq: from_seq });
  return Math.max(next_n, stream.first_n, from);
}

/** The entries that were deleted before the group read them; whoever asks tells the group, so they are forgotten here. */
export function takeRemoved(db: Database, { id, removed: count }: GroupRow): RemovedRange | undefined {
  if (count === 0) return undefined;
  const range = db.get<{ from_ms: number; from_seq: number; to_ms: number; to_seq: number }>(
    `SELECT removed_from_ms AS from_ms, removed_from_seq AS from_seq, removed_to_ms AS to_ms, removed_to_seq AS to_seq
      FROM consumer_group WHERE id = ?`,
    id,
  )!;
  db.run("UPDATE consumer_group SET removed = 0 WHERE id = ?", id);
  return {
    from: positionOf({ ms: range.from_ms, seq: range.from_seq }),
    to: positionOf({ ms: range.to_ms, seq: range.to_seq }),
    count,
  };
}

/** The number of the first entry that the group has not read or not settled. */
export function floorNumber(db: Database, stream: StreamRow, group: GroupRow): number {
  const oldest = db.get<{ n: number }>(
    `SELECT d.n FROM delivery d JOIN entry e ON e.stream = ? AND e.n = d.n
      WHERE grp = ? AND copy IS NULL ORDER BY d.ms, d.seq LIMIT 1`,
    stream.id,
    group.id,
  );
  return Math.min(oldest?.n ?? Infinity, nextNumber(db, stream, group));
}

/** Moves the group, as the port says. */
export function rewind(
  db: Database,
  stream: StreamRow,
  group: GroupRow,
  to: MemberOptions["startFrom"],
): { dropped: number; first: Position | undefined } {
  const cursor = seek(db, stream, to);
  db.run(
    "UPDATE consumer_group SET epoch = epoch + 1, next_n = ?, from_ms = ?, from_seq = ? WHERE id = ?",
    cursor.next_n,
    cursor.from_ms,
    cursor.from_seq,
    group.id,
  );
  const { ms, seq } = to === "beginning" ? { ms: 0, seq: 0 } : to === "now" ? endOf(stream) : placeOf(to);
  const dropped = db.run("DELETE FROM delivery WHERE grp = ? AND (ms, seq) >= (?, ?)", group.id, ms, seq);
  const first = entryFrom(db, stream, nextNumber(db, stream, cursor));
  return { dropped, first: first && positionOf(first) };
}

/** Ends the group and all that belongs to it. */
export function removeGroup(db: Database, { id }: GroupRow): void {
  for (const table of ["delivery", "letter", "consumer"]) db.run(`DELETE FROM ${table} WHERE grp = ?`, id);
  db.run("DELETE FROM consumer_group WHERE id = ?", id);
}

/** The group as its operators see it. */
export function groupState(db: Database, now: number, stream: StreamRow, group: GroupRow): GroupState {
  const counts = db.get<{ pending: number; retrying: number }>(
    "SELECT count(*) AS pending, count(iif(retry_at > ?, 1, NULL)) AS retrying FROM delivery WHERE grp = ?",
    now,
    group.id,
  )!;
  const { letters } = db.get<{ letters: number }>("SELECT count(*) AS letters FROM letter WHERE grp = ?", group.id)!;
  const consumers = db.all<{ name: string; pending: number; expires: number; stalled: number }>(
    `SELECT store_name AS name, expires, stalled, (SELECT count(*) FROM delivery WHERE owner = consumer.id) AS pending
      FROM consumer WHERE grp = ? ORDER BY id`,
    group.id,
  );
  const next = nextNumber(db, stream, group);
  return {
    name: group.name,
    ...counts,
    deferred: deferredState(db, group.id),
    deadLetters: letters,
    lag: stream.next_n - next,
    lagIsExact: true,
    floor: floorPosition(db, stream, group, next),
    consumers: consumers.map(({ name, pending, expires, stalled }) => ({
      name,
      pending,
      alive: expires > now,
      stalled: stalled !== 0,
    })),
  };
}

function floorPosition(db: Database, stream: StreamRow, group: GroupRow, next: number): Position | undefined {
  const oldest = db.get<Place>("SELECT ms, seq FROM delivery WHERE grp = ? ORDER BY ms, seq LIMIT 1", group.id);
  const unread = entryFrom(db, stream, next);
  return [oldest, unread].filter((place) => place !== undefined).map(positionOf).sort(comparePositions)[0];
}
