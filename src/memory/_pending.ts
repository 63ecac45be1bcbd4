import type { Position, StoredRecord } from "../store/mod.ts";
import type { Consumer } from "./_consumers.ts";
import type { Ticket } from "./_parking.ts";

/** A delivery that is not settled: held by a consumer, or parked until it is due. */
export interface Pending {
  readonly position: Position;
  readonly index: number;
  /** The entry, if this is a redriven dead letter whose entry was removed from the stream. */
  readonly copy: StoredRecord | undefined;
  owner: Consumer | undefined;
  /** Says when it may be taken, while it is parked. */
  ticket: Ticket | undefined;
  /** When its next attempt is due, whether it is parked or held; undefined if it need not wait. */
  retryAt: number | undefined;
  failures: number;
  recovered: number;
  /** Its number among all deliveries of the group: its fence. */
  delivery: number;
  isolated: boolean;
  /** The version of its entry, and since when it waits for a member that understands it; set while it is deferred. */
  deferred: { readonly version: number; readonly since: number } | undefined;
  /** The key that it waits for, while a dead letter holds it. */
  waitsFor: string | undefined;
  /** What its consumers keep beside it, by name. */
  kept: Readonly<Record<string, string>> | undefined;
  firstFailedAt: number | undefined;
  lastFailedAt: number | undefined;
}

/** Creates a delivery that no consumer has held yet. */
export function newPending(position: Position, index: number, copy: StoredRecord | undefined): Pending {
  return {
    position,
    index,
    copy,
    owner: undefined,
    ticket: undefined,
    retryAt: undefined,
    failures: 0,
    recovered: 0,
    delivery: 0,
    isolated: false,
    deferred: undefined,
    waitsFor: undefined,
    kept: undefined,
    firstFailedAt: undefined,
    lastFailedAt: undefined,
  };
}
