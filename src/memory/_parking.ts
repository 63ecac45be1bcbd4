import { comparePositions, type Position } from "../store/mod.ts";

/** An item that can be parked until it is due. */
export interface Parked {
  /** Its ticket in the one parking that it is in; undefined while it is not parked. */
  ticket: Ticket | undefined;
  /** Its place in the stream, which orders items with the same due time. */
  readonly index: number;
  /** Its position, which orders items whose entries were removed, so that they have the same place. */
  readonly position: Position;
}

/** When a parked item may be taken, in milliseconds since the epoch. */
export interface Ticket {
  readonly due: number;
}

interface OwnTicket<T> extends Ticket {
  readonly item: T;
}

/** A binary heap of parked items, the earliest due first. Items that are no longer parked are skipped. */
export class Parking<T extends Parked> {
  #heap: OwnTicket<T>[] = [];

  /** Parks an item until `due`. */
  park(item: T, due: number): void {
    const ticket = { due, item };
    item.ticket = ticket;
    const heap = this.#heap;
    let at = heap.push(ticket) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!before(heap[at]!, heap[parent]!)) break;
      [heap[at], heap[parent]] = [heap[parent]!, heap[at]!];
      at = parent;
    }
  }

  /** Returns when the next item is due; Infinity if nothing is parked. */
  nextDue(): number {
    this.#dropStale();
    return this.#heap[0]?.due ?? Infinity;
  }

  /** Returns the item that is due first, and leaves it in place. */
  first(): T | undefined {
    this.#dropStale();
    return this.#heap[0]?.item;
  }

  /** Takes the item that is due first, if it is due by now. */
  take(now: number): T | undefined {
    if (this.nextDue() > now) return undefined;
    const { item } = this.#heap[0]!;
    this.#removeTop();
    item.ticket = undefined;
    return item;
  }

  // Removing a ticket from the middle would need a search. So the tickets of items that are no longer parked, or parked
  // anew, stay in the heap.
  #dropStale(): void {
    while (this.#heap.length > 0 && this.#heap[0]!.item.ticket !== this.#heap[0]) this.#removeTop();
  }

  #removeTop(): void {
    const heap = this.#heap;
    const last = heap.pop()!;
    if (heap.length === 0) return;
    heap[0] = last;
    for (let at = 0;;) {
      const left = 2 * at + 1;
      const right = left + 1;
      let first = at;
      if (left < heap.length && before(heap[left]!, heap[first]!)) first = left;
      if (right < heap.length && before(heap[right]!, heap[first]!)) first = right;
      if (first === at) return;
      [heap[at], heap[first]] = [heap[first]!, heap[at]!];
      at = first;
    }
  }
}

function before<T extends Parked>(a: OwnTicket<T>, b: OwnTicket<T>): boolean {
  if (a.due !== b.due) return a.due < b.due;
  if (a.item.index !== b.item.index) return a.item.index < b.item.index;
  return comparePositions(a.item.position, b.item.position) < 0;
}
