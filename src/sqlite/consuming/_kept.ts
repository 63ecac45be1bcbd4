import type { DeliveryRef } from "../../store/mod.ts";
import { keptWith } from "../../store/_kept.ts";
import type { Database } from "../connection/_database.ts";
import { consumerId, type Seat, THIS_DELIVERY, thisDelivery } from "./_consumer.ts";

type Kept = Readonly<Record<string, string>>;

/** Implements `keep` of the port. To be called in a write transaction. */
export function keep(db: Database, seat: Seat, delivery: DeliveryRef, name: string, text: string): boolean {
  const which = thisDelivery(seat, consumerId(db, seat), delivery);
  const row = db.get<{ kept: string | null }>(`SELECT kept FROM delivery WHERE ${THIS_DELIVERY}`, ...which);
  if (row === undefined) return false;
  const all = keptWith(row.kept === null ? undefined : JSON.parse(row.kept) as Kept, name, text);
  db.run(`UPDATE delivery SET kept = ? WHERE ${THIS_DELIVERY}`, JSON.stringify(all), ...which);
  return true;
}

/** Implements `kept` of the port. */
export function kept(db: Database, seat: Seat, delivery: DeliveryRef): Kept {
  const row = db.get<{ kept: string | null }>(
    `SELECT kept FROM delivery WHERE ${THIS_DELIVERY}`,
    ...thisDelivery(seat, consumerId(db, seat), delivery),
  );
  return row === undefined || row.kept === null ? {} : JSON.parse(row.kept) as Kept;
}
