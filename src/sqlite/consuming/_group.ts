import type {
  GroupChange,
  GroupState,
  MemberOptions,
  Position,
  RemovedRange,
  SharedText,
  WhenDead,
} from "../../store/mod.ts";
import { nextVersion } from "../../store/_shared_state.ts";
import type { GroupTerms } from "../../store/_groups.ts";
import { comparePositions } from "../../store/mod.ts";
import type { Database } from "../connection/_database.ts";
import { type Place, placeOf, positionOf } from "../entries/_records.ts";
import { endOf, entryFrom, numberAt, type StreamRow } from "../entries/_stream.ts";
import { deferredState } from "./_deferred.ts";
import { clearHolds, heldState, rewindHolds } from "./_holds.ts";

/** Where a group reads next. */
export interface Cursor {
  /** The number of the next entry. */
  readonly next_n: number;
  /** The first position to read, while the group waits for one that is still to come; else null. */
  readonly from_ms: number | null;
  readonly from_seq: number | null;
}

/** The row of a group. */
export interface GroupRow extends Cursor {
  readonly id: number;
  readonly name: string;
  /** Raised by each rewind. Members compare it to notice the rewind. */
  readonly epoch: number;
  /** How many deliveries the group ever had: the number of the last one. */
  readonly deliveries: number;
  /** How many unread entries were deleted since the last claim that reported it. */
  readonly removed: number;
  /** The event types that it is for, as a JSON array; null for the stream's own type. */
  readonly types: string | null;
  /** How many entries of other types it has settled unseen. */
  readonly skipped: number;
  /** How many expired events it has settled without handling them. */
  readonly expired: number;
  /** What it does with later deliveries of a key whose event became a dead letter; null for `continue`. */
  readonly when_dead: WhenDead | null;
  /** How often letters have ceased to hold a key. */
  readonly freed: number;
  /** The store name of its exclusive consumer, until another consumer joins; null without one. */
  readonly exclusive: string | null;
  /** The text by which operators control its consumers. */
  readonly control: string | null;
  /** The version of that text; 0 before the first write. */
  readonly control_version: number;
}

const GROUP =
  `SELECT id, name, epoch, deliveries, removed, types, skipped, expired, when_dead, freed, exclusive, control, control_version,
    next_n, from_ms, from_seq
  FROM consumer_group`;

/** Returns all groups of a stream, oldest first. */
export function allGroups(db: Database, stream: StreamRow): GroupRow[] {
  return db.all<GroupRow>(`${GROUP} WHERE stream = ? ORDER BY id`, stream.id);
}

/** Returns the group with this name. */
export function findGroup(db: Database, stream: StreamRow, name: string): GroupRow | undefined {
  return db.get<GroupRow>(`${GROUP} WHERE stream = ? AND name = ?`, stream.id, name);
}

/** Returns the group with this id. Ids are never reused: a group that is deleted and created again has a new one. */
export function groupById(db: Database, id: number): GroupRow | undefined {
  return db.get<GroupRow>(`${GROUP} WHERE id = ?`, id);
}

/** Returns the group with this name. Creates it at `startFrom` if it is missing. */
export function makeGroup(
  db: Database,
  stream: StreamRow,
  name: string,
  { startFrom, types, whenDead }: Pick<MemberOptions, "startFrom" | "types" | "whenDead">,
): GroupRow {
  const group = findGroup(db, stream, name);
  if (group !== undefined) return group;
  const { next_n, from_ms, from_seq } = seek(db, stream, startFrom);
  db.run(
    "INSERT INTO consumer_group (stream, name, types, when_dead, next_n, from_ms, from_seq) VALUES (?, ?, ?, ?, ?, ?, ?)",
    stream.id,
    name,
    typesText(types),
    whenDeadText(whenDead),
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

/** Returns the number of the entry that the group reads next; that of the next append if it has read everything. */
export function nextNumber(db: Database, stream: StreamRow, { next_n, from_ms, from_seq }: Cursor): number {
  const from = from_ms === null || from_seq === null ? 0 : numberAt(db, stream, { ms: from_ms, seq: from_seq });
  return Math.max(next_n, stream.first_n, from);
}

/** Returns the range of entries that were deleted before the group read them, and resets it: it is reported once. */
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

/** Returns what the consumers of a group agree on. */
export function termsOf({ types, when_dead }: GroupRow): GroupTerms {
  return {
    ...(types !== null && { types: JSON.parse(types) as readonly string[] }),
    ...(when_dead !== null && { whenDead: when_dead }),
  };
}

/** The event types as the table keeps them. */
export function typesText(types: readonly string[] | undefined): string | null {
  return types === undefined ? null : JSON.stringify(types);
}

/** The `whenDead` of a group as the table keeps it. */
export function whenDeadText(whenDead: WhenDead | undefined): string | null {
  return whenDead === "hold-key" ? whenDead : null;
}

/** Returns the control of a group, for the port. */
export function controlOf(group: GroupRow | undefined, now: number): SharedText {
  return { text: group?.control ?? undefined, version: group?.control_version ?? 0, now };
}

/** Writes the control of a group, unless its version has changed. To be called in a write transaction. */
export function writeControl(
  db: Database,
  now: number,
  group: GroupRow,
  text: string | undefined,
  version: number,
): boolean {
  if (version !== group.control_version) return false;
  db.run(
    "UPDATE consumer_group SET control = ?, control_version = ? WHERE id = ?",
    text ?? null,
    nextVersion(version, now),
    group.id,
  );
  return true;
}

/** Implements `alterGroup` of the port. To be called in a write transaction. */
export function alterGroup(db: Database, group: GroupRow, change: GroupChange): void {
  const { types, whenDead = group.when_dead ?? undefined } = change;
  db.run(
    "UPDATE consumer_group SET types = ?, when_dead = ? WHERE id = ?",
    typesText(types),
    whenDeadText(whenDead),
    group.id,
  );
  if (whenDead !== "hold-key") clearHolds(db, group.id);
}

/** Returns the number of the first entry that the group has not read or not settled: trimming must keep it. */
export function floorNumber(db: Database, stream: StreamRow, group: GroupRow): number {
  const oldest = db.get<{ n: number }>(
    `SELECT d.n FROM delivery d JOIN entry e ON e.stream = ? AND e.n = d.n
      WHERE grp = ? AND copy IS NULL ORDER BY d.ms, d.seq LIMIT 1`,
    stream.id,
    group.id,
  );
  return Math.min(oldest?.n ?? Infinity, nextNumber(db, stream, group));
}

/** Implements `rewind` of the port. To be called in a write transaction. */
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
  rewindHolds(db, group.id, { ms, seq });
  const first = entryFrom(db, stream, nextNumber(db, stream, cursor));
  return { dropped, first: first && positionOf(first) };
}

/** Deletes the group with its deliveries, dead letters and consumers. To be called in a write transaction. */
export function removeGroup(db: Database, { id }: GroupRow): void {
  for (const table of ["delivery", "letter", "consumer"]) db.run(`DELETE FROM ${table} WHERE grp = ?`, id);
  db.run("DELETE FROM consumer_group WHERE id = ?", id);
}

/** Returns the state of a group for `info` of the port. */
export function groupState(db: Database, now: number, stream: StreamRow, group: GroupRow): GroupState {
  const counts = db.get<{ pending: number; retrying: number }>(
    "SELECT count(*) AS pending, count(iif(retry_at > ?, 1, NULL)) AS retrying FROM delivery WHERE grp = ?",
    now,
    group.id,
  )!;
  const { letters } = db.get<{ letters: number }>("SELECT count(*) AS letters FROM letter WHERE grp = ?", group.id)!;
  const oldest = db.get<{ last_failed_at: number }>(
    "SELECT last_failed_at FROM letter WHERE grp = ? ORDER BY id LIMIT 1",
    group.id,
  );
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
    types: termsOf(group).types,
    skipped: group.skipped,
    expired: group.expired,
    whenDead: group.when_dead ?? "continue",
    held: heldState(db, group.id),
    deadLetters: letters,
    oldestDeadLetter: oldest?.last_failed_at,
    lag: stream.next_n - next,
    lagIsExact: true,
    floor: floorPosition(db, stream, group, next),
    control: group.control ?? undefined,
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
