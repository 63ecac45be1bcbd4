/** Something parked until its time has come. */
export interface Parked {
  /** When it may be taken, in milliseconds since the epoch; undefined while it is not parked. */
  due: number | undefined;
  /** What decides between equals: its place in the stream. */
  readonly index: number;
}

interface Ticket<T> {
  readonly due: number;
  readonly item: T;
}

/** A binary heap of what is parked, the earliest due first. What was unparked meanwhile is skipped when it comes up. */
export class Parking<T extends Parked> {
  #heap: Ticket<T>[] = [];

  /** Parks an item until `due`. */
  park(item: T, due: number): void {
    item.due = due;
    const heap = this.#heap;
    let at = heap.push({ due, item }) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!before(heap[at]!, heap[parent]!)) break;
      [heap[at], heap[parent]] = [heap[parent]!, heap[at]!];
      at = parent;
    }
  }

  /** When the next item is due; Infinity when nothing is parked. */
  nextDue(): number {
    this.#dropStale();
    return this.#heap[0]?.due ?? Infinity;
  }

  /** The item that is due first. */
  first(): T | undefined {
    this.#dropStale();
    return this.#heap[0]?.item;
  }

  /** Takes the first item that is due, if there is one. */
  take(now: number): T | undefined {
    if (this.nextDue() > now) return undefined;
    const { item } = this.#heap[0]!;
    this.#removeTop();
    item.due = undefined;
    return item;
  }

  // Taking an item out of the middle would cost a search: its ticket stays behind and no longer fits the item.
  #dropStale(): void {
    while (this.#heap.length > 0 && this.#heap[0]!.item.due !== this.#heap[0]!.due) this.#removeTop();
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

function before<T extends Parked>(a: Ticket<T>, b: Ticket<T>): boolean {
  return a.due !== b.due ? a.due < b.due : a.item.index < b.item.index;
}
