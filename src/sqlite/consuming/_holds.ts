import { type HeldDeliveries, type HeldState, type KeyedDelivery, MAX_WAITING } from "../../store/mod.ts";
import type { Database } from "../connection/_database.ts";
import { type Place, placeOf, positionOf } from "../entries/_records.ts";

// Keys are kept as JSON, because SQLite's text may not contain a NUL. A letter holds its key while `holds` is 1. When it is deleted, a trigger returns the deliveries that wait behind it.

/** When deliveries of a group that holds keys are due that come before all others, by position. */
export const BEFORE_ALL = 0;

/** Whether a letter of a lower position holds the key. */
export function isBehind(db: Database, groupId: number, { ms, seq }: Place, key: string): boolean {
  const found = db.get(
    "SELECT 1 FROM letter WHERE grp = ? AND key = ? AND holds = 1 AND (ms, seq) < (?, ?) LIMIT 1",
    groupId,
    JSON.stringify(key),
    ms,
    seq,
  );
  return found !== undefined;
}

/** Implements `held` of the port. */
export function held(
  db: Database,
  { id, freed }: { readonly id: number; readonly freed: number },
  deliveries: readonly KeyedDelivery[],
): HeldDeliveries {
  const behind = deliveries.filter(({ key, position }) => isBehind(db, id, placeOf(position), key));
  return { positions: behind.map(({ position }) => position), room: roomLeft(db, id), freed };
}

/** How many more deliveries of the group may wait. */
export function roomLeft(db: Database, groupId: number): number {
  return MAX_WAITING - waitingIn(db, groupId);
}

function waitingIn(db: Database, groupId: number): number {
  return db.get<{ waiting: number }>(
    "SELECT count(*) AS waiting FROM delivery WHERE grp = ? AND waits_for IS NOT NULL",
    groupId,
  )!.waiting;
}

/** Whether a letter holds a key. */
export function holdsKeys(db: Database, groupId: number): boolean {
  return db.get("SELECT 1 FROM letter WHERE grp = ? AND holds = 1 LIMIT 1", groupId) !== undefined;
}

export function heldState(db: Database, groupId: number): HeldState {
  const { keys } = db.get<{ keys: number }>(
    "SELECT count(DISTINCT key) AS keys FROM letter WHERE grp = ? AND holds = 1",
    groupId,
  )!;
  const first = db.get<Place>(
    "SELECT ms, seq FROM letter WHERE grp = ? AND holds = 1 ORDER BY ms, seq LIMIT 1",
    groupId,
  );
  return { keys, waiting: waitingIn(db, groupId), from: first && positionOf(first) };
}

/** Letters at or after a place hold their keys no longer. The deliveries behind them must have been deleted before. */
export function rewindHolds(db: Database, groupId: number, { ms, seq }: Place): void {
  db.run("UPDATE letter SET holds = 0 WHERE grp = ? AND holds = 1 AND (ms, seq) >= (?, ?)", groupId, ms, seq);
  noteFreed(db, groupId);
}

function noteFreed(db: Database, groupId: number): void {
  db.run("UPDATE consumer_group SET freed = freed + 1 WHERE id = ?", groupId);
}

/** No letter holds its key any more, and all waiting deliveries return. */
export function clearHolds(db: Database, groupId: number): void {
  db.run("UPDATE letter SET holds = 0 WHERE grp = ? AND holds = 1", groupId);
  db.run(
    "UPDATE delivery SET waits_for = NULL, due = ? WHERE grp = ? AND waits_for IS NOT NULL",
    BEFORE_ALL,
    groupId,
  );
  noteFreed(db, groupId);
}
