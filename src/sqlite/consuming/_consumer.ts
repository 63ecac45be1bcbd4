import type { DeliveryRef, Position } from "../../store/mod.ts";
import { StoreError } from "../../store/mod.ts";
import { assertTerms, type GroupTerms, occupied } from "../../store/_groups.ts";
import type { Reach } from "../../store/_reach.ts";
import type { Database } from "../connection/_database.ts";
import { placeOf } from "../entries/_records.ts";
import { groupById, type GroupRow, termsOf, typesText, whenDeadText } from "./_group.ts";

/** Identifies a member in the tables, with the options that it joined with. */
export interface Seat {
  readonly stream: string;
  readonly group: string;
  readonly groupId: number;
  /** The consumer's name, without the incarnation. */
  readonly name: string;
  /** Its name in the store, with the incarnation. */
  readonly consumer: string;
  /** In milliseconds. */
  readonly lease: number;
  /** What it agreed on with its group. */
  readonly terms: GroupTerms;
  /** Which deferred deliveries it may take. */
  readonly reach: Reach;
  /** Whether it has the group for itself. */
  readonly exclusive: boolean;
}

/** A consumer whose lease was just renewed. */
export interface LiveConsumer {
  readonly id: number;
}

/** SQL condition: exactly this delivery, and this consumer holds it. {@linkcode thisDelivery} returns its values. */
export const THIS_DELIVERY = `delivery.grp = ? AND delivery.ms = ? AND delivery.seq = ? AND owner = ? AND number = ?`;

/** Returns the values of {@linkcode THIS_DELIVERY}. */
export function thisDelivery(
  seat: Seat,
  owner: number,
  { position, fence }: DeliveryRef,
): [number, number, number, number, number] {
  const { ms, seq } = placeOf(position);
  return [seat.groupId, ms, seq, owner, Number(fence)];
}

/**
 * Returns the id of the consumer; if it was given up for dead, or does not agree with its group any more, an id that no delivery has.
 */
export function consumerId(db: Database, { groupId, consumer, terms }: Seat): number {
  const found = db.get<{ id: number }>(
    `SELECT id FROM consumer
      WHERE grp = ? AND store_name = ? AND (SELECT types IS ? AND when_dead IS ? FROM consumer_group WHERE id = grp)`,
    groupId,
    consumer,
    typesText(terms.types),
    whenDeadText(terms.whenDead),
  );
  return found?.id ?? -1;
}

/**
 * Adds a consumer to the group. Throws `"name-taken"` if another live consumer has the name, and `"occupied"` if one is alive
 * and one of the two is exclusive.
 */
export function join(
  db: Database,
  now: number,
  stream: string,
  group: GroupRow,
  { name, lease, terms, reach, exclusive }: Pick<Seat, "name" | "lease" | "terms" | "reach" | "exclusive">,
): Seat {
  const { incarnations } = db.get<{ incarnations: number }>(
    "UPDATE consumer_group SET incarnations = incarnations + 1 WHERE id = ? RETURNING incarnations",
    group.id,
  )!;
  // A group that is deleted and created again counts from 1 again, so the random part keeps the names unique.
  const consumer = `${name}.${incarnations.toString(36)}${crypto.randomUUID().slice(0, 6)}`;
  const seat: Seat = {
    stream,
    group: group.name,
    groupId: group.id,
    name,
    consumer,
    lease,
    terms,
    reach,
    exclusive,
  };
  assertNameFree(db, now, seat);
  assertUnoccupied(db, now, seat, true);
  enrol(db, now, seat);
  db.run("UPDATE consumer_group SET exclusive = ? WHERE id = ?", exclusive ? consumer : null, group.id);
  return seat;
}

function enrol(db: Database, now: number, { groupId, name, consumer, lease }: Seat): void {
  db.run(
    "INSERT INTO consumer (grp, name, store_name, expires) VALUES (?, ?, ?, ?)",
    groupId,
    name,
    consumer,
    Math.ceil(now + lease),
  );
}

function assertNameFree(db: Database, now: number, { stream, group, groupId, name, consumer }: Seat): void {
  const other = db.get<{ store_name: string; expires: number }>(
    `SELECT store_name, expires FROM consumer WHERE grp = ? AND name = ? AND store_name <> ? AND expires > ?
      ORDER BY id LIMIT 1`,
    groupId,
    name,
    consumer,
    now,
  );
  if (other === undefined) return;
  throw new StoreError(
    "name-taken",
    `Cannot join group "${group}" of ${stream} as "${name}": ${other.store_name} is alive under that name for ` +
      `another ${other.expires - now} ms; close it, or take another name`,
    { holder: other.store_name, expiresIn: other.expires - now },
  );
}

/** @param joins Whether the consumer joins for the first time, and does not come back. */
function assertUnoccupied(db: Database, now: number, seat: Seat, joins: boolean): void {
  const { stream, group, groupId, name, consumer, exclusive } = seat;
  const alone = groupById(db, groupId)?.exclusive;
  // The last lease to end decides when the group is free.
  const other = exclusive || alone !== null
    ? db.get<{ store_name: string; expires: number }>(
      `SELECT store_name, expires FROM consumer WHERE grp = ? AND store_name <> ? AND expires > ?
        ${exclusive ? "" : "AND store_name = ?"} ORDER BY expires DESC LIMIT 1`,
      groupId,
      consumer,
      now,
      ...(exclusive ? [] : [alone!]),
    )
    : undefined;
  const holder = other && { consumer: other.store_name, expiresIn: other.expires - now };
  // An exclusive consumer never comes back once another one has joined, even if that one has left.
  const replaced = exclusive && !joins && alone !== consumer;
  if (holder !== undefined || replaced) throw occupied(`group "${group}" of ${stream}`, name, exclusive, holder);
}

/** Returns the row of the group. Throws `"group-deleted"` if it was deleted, `"types-differ"` or `"policy-differs"`. */
export function assertGroup(db: Database, { groupId, group, stream, terms }: Seat): GroupRow {
  const row = groupById(db, groupId);
  if (row === undefined) {
    throw new StoreError(
      "group-deleted",
      `Cannot use group "${group}" of ${stream}: it was deleted; subscribe again to make it anew`,
    );
  }
  assertTerms(group, stream, termsOf(row), terms);
  return row;
}

/**
 * Renews the lease of the consumer. A consumer that was given up for dead joins again. Throws `"name-taken"` if another
 * consumer has taken its name in the meantime, and `"occupied"` if it cannot be beside another one.
 */
export function touch(db: Database, now: number, seat: Seat): LiveConsumer {
  const { groupId, consumer, lease } = seat;
  const found = db.get<{ expires: number }>(
    "SELECT expires FROM consumer WHERE grp = ? AND store_name = ?",
    groupId,
    consumer,
  );
  if (found === undefined || found.expires <= now) {
    assertNameFree(db, now, seat);
    assertUnoccupied(db, now, seat, false);
    if (!seat.exclusive) db.run("UPDATE consumer_group SET exclusive = NULL WHERE id = ?", groupId);
  }
  if (found === undefined) enrol(db, now, seat);
  return db.get<LiveConsumer>(
    "UPDATE consumer SET expires = ? WHERE grp = ? AND store_name = ? RETURNING id",
    Math.ceil(now + lease),
    groupId,
    consumer,
  )!;
}

/** Records whether the consumer has room for new deliveries, for `info`. */
export function setStalled(db: Database, { groupId, consumer }: Seat, stalled: boolean): void {
  db.run("UPDATE consumer SET stalled = ? WHERE grp = ? AND store_name = ?", Number(stalled), groupId, consumer);
}

/** Returns the positions of those deliveries in `held` that this member no longer has. */
export function lost(db: Database, seat: Seat, held: readonly DeliveryRef[]): Position[] {
  const owner = consumerId(db, seat);
  const has = (delivery: DeliveryRef) =>
    db.get(`SELECT 1 FROM delivery WHERE ${THIS_DELIVERY}`, ...thisDelivery(seat, owner, delivery)) !== undefined;
  return held.filter((delivery) => !has(delivery)).map(({ position }) => position);
}

/** Releases all deliveries that the consumer holds, and removes it. */
export function leave(db: Database, now: number, seat: Seat): void {
  const id = consumerId(db, seat);
  if (db.run("DELETE FROM consumer WHERE id = ?", id) === 0) return;
  db.run(
    `UPDATE delivery SET owner = NULL, isolated = 0, due = max(?, ifnull(retry_at, 0)) WHERE owner = ?`,
    now,
    id,
  );
}
