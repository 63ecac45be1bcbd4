import { comparePositions, type DeliveryRef, type GroupState, type Position, type StoredRecord } from "../store/mod.ts";
import type { Reach } from "../store/_reach.ts";
import { TurnoverMap } from "../store/_turnover_map.ts";
import type { Consumer } from "./_consumers.ts";
import { Deferred } from "./_deferred.ts";
import { Parking } from "./_parking.ts";
import { newPending, type Pending } from "./_pending.ts";

/** The state of the deliveries of a group. */
export interface DeliveriesState extends Pick<GroupState, "pending" | "retrying" | "deferred" | "floor"> {
  /** The deliveries of each consumer; under undefined those that nobody holds. */
  readonly held: ReadonlyMap<Consumer | undefined, readonly Pending[]>;
}

/** The unsettled deliveries of a group: who holds each one, or when it may be taken. */
export class Deliveries {
  /** Those that wait for a consumer which understands their version. */
  readonly deferred: Deferred = new Deferred();
  /** By their number: looking up a number is faster than a position. */
  #all = new TurnoverMap<number, Pending>();
  #parking = new Parking<Pending>();
  #ever = 0;

  values(): IterableIterator<Pending> {
    return this.#all.values();
  }

  /** Returns the delivery, if this consumer still holds exactly this one. */
  find(storeName: string, { position, fence }: DeliveryRef): Pending | undefined {
    const pending = this.#all.get(Number(fence));
    return pending?.owner?.storeName === storeName && pending.position === position ? pending : undefined;
  }

  // A search: this is rare, and an index would cost every delivery.
  heldBy(consumer: Consumer): Pending[] {
    return [...this.#all.values()].filter(({ owner }) => owner === consumer);
  }

  /** Adds a delivery that no consumer has held yet. */
  add(position: Position, index: number, copy?: StoredRecord): Pending {
    const pending = newPending(position, index, copy);
    this.#number(pending);
    return pending;
  }

  /** Gives a delivery another number, which is its fence: settles with the earlier fence are refused. */
  renumber(pending: Pending): void {
    this.#all.delete(pending.delivery);
    this.#number(pending);
  }

  #number(pending: Pending): void {
    pending.delivery = ++this.#ever;
    this.#all.set(pending.delivery, pending);
  }

  /** Removes a delivery for good. */
  delete(pending: Pending): void {
    this.#all.delete(pending.delivery);
  }

  /** Removes a delivery that may be parked or deferred. */
  drop(pending: Pending): void {
    this.delete(pending);
    this.deferred.remove(pending);
    pending.owner = undefined;
    pending.ticket = undefined;
  }

  /** Has a delivery wait for any consumer until it is due. */
  park(pending: Pending, due: number): void {
    pending.owner = undefined;
    pending.isolated = false;
    this.#parking.park(pending, due);
  }

  /** Takes parked and deferred deliveries that a consumer may have now, one by one, until there is none. */
  *takeDue(reach: Reach, now: number): Generator<Pending, undefined> {
    for (;;) {
      const pending = this.#parking.take(now) ?? this.deferred.take(reach, now);
      if (pending === undefined) return;
      yield pending;
    }
  }

  /** Takes parked deliveries in order of position, whether or not they are due; then deferred ones. */
  *takeInOrder(reach: Reach, now: number): Generator<Pending, undefined> {
    const isParked = ({ owner, deferred, waitsFor }: Pending) =>
      owner === undefined && deferred === undefined && waitsFor === undefined;
    const parked = this.#parking.nextDue() === Infinity ? [] : [...this.#all.values()].filter(isParked);
    for (const pending of parked.sort((a, b) => comparePositions(a.position, b.position))) {
      // The parking drops its ticket later.
      pending.ticket = undefined;
      yield pending;
    }
    yield* this.takeDue(reach, now);
  }

  /** When the next delivery falls due for a consumer. */
  nextDue(reach: Reach): number {
    return Math.min(this.#parking.nextDue(), this.deferred.next(reach));
  }

  clear(): void {
    this.#all.clear();
  }

  /** What `info` says about them. @param unread The first position that the group has not read. */
  state(now: number, unread: Position | undefined): DeliveriesState {
    const all = [...this.#all.values()];
    const oldest = all.map(({ position }) => position).sort(comparePositions)[0];
    const isOlder = oldest !== undefined && (unread === undefined || comparePositions(oldest, unread) < 0);
    return {
      pending: all.length,
      retrying: all.filter(({ retryAt = 0 }) => retryAt > now).length,
      deferred: this.deferred.state(),
      floor: isOlder ? oldest : unread,
      held: Map.groupBy(all, ({ owner }) => owner),
    };
  }
}
