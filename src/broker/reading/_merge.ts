import type { DomainEvent } from "../../events/mod.ts";
import { Fifo } from "../../store/_fifo.ts";
import type { WakeUp } from "../../store/_wake_up.ts";
import type { ReadRange } from "../../store/mod.ts";
import { comparePositions } from "../../store/mod.ts";

type Events<E> = AsyncGenerator<E, void, void>;

/** Compares two events, as for `Array.prototype.sort`. Also gets the indexes of their streams. */
export type Order = (a: DomainEvent, b: DomainEvent, streamOfA: number, streamOfB: number) => number;

/** Events of several streams in the order in which they were stored. */
export const byPosition: Order = (a, b) => comparePositions(a.position!, b.position!);

/** Merges streams, each of them in order; ends their reading by `left`. */
export async function* merge<E extends DomainEvent>(
  streams: readonly Events<E>[],
  { limit = Infinity, reverse = false }: ReadRange,
  left: AbortController,
  compare: Order = byPosition,
): Events<E> {
  const sign = reverse ? -1 : 1;
  const heads = new Heads<E>((a, b) => sign * (compare(a.event, b.event, a.stream, b.stream) || a.stream - b.stream));
  const pull = async (stream: number) => {
    const { done, value } = await streams[stream]!.next();
    if (!done) heads.add({ stream, event: value });
  };
  try {
    if (limit > 0) await Promise.all(streams.map((_, nth) => pull(nth)));
    for (let missing = limit; missing > 0; missing--) {
      const first = heads.take();
      if (first === undefined) return;
      yield first.event;
      await pull(first.stream);
    }
  } finally {
    left.abort();
    await Promise.all(streams.map((stream) => stream.return()));
  }
}

interface Head<E> {
  readonly stream: number;
  readonly event: E;
}

/** The first event of each stream, as a binary heap: a stream may have a thousand partitions. */
class Heads<E> {
  #heap: Head<E>[] = [];
  #compare: (a: Head<E>, b: Head<E>) => number;

  constructor(compare: (a: Head<E>, b: Head<E>) => number) {
    this.#compare = compare;
  }

  add(head: Head<E>): void {
    const heap = this.#heap;
    let at = heap.push(head) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (this.#compare(heap[parent]!, head) <= 0) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = head;
  }

  /** Removes the first one; undefined when there is none. */
  take(): Head<E> | undefined {
    const heap = this.#heap;
    const first = heap[0];
    const last = heap.pop();
    if (heap.length === 0 || last === undefined) return first;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && this.#compare(heap[child + 1]!, heap[child]!) < 0) child++;
      if (this.#compare(last, heap[child]!) <= 0) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
    return first;
  }
}

/** Streams that come while others are followed. */
export interface LaterStreams<E> {
  readonly more: Events<E>[];
  /** Wakes when there are more. */
  readonly come: WakeUp;
}

/**
 * Gives events of several streams in the order of their arrival, since future events cannot be merged by position; ends
 * their reading by `left`.
 */
export async function* interleave<E extends DomainEvent>(
  streams: readonly Events<E>[],
  { more, come }: LaterStreams<E>,
  { limit = Infinity }: ReadRange,
  left: AbortController,
): Events<E> {
  // Not by Promise.race: a stream without new events would keep a little memory for each event of the others.
  const arrived = new Fifo<{ readonly stream: Events<E>; readonly head: Promise<IteratorResult<E, void>> }>();
  const reading = new Map<Events<E>, Promise<unknown>>();
  const pull = (stream: Events<E>) => {
    const head = stream.next();
    const noted = () => {
      arrived.push({ stream, head });
      come.wake();
    };
    reading.set(stream, head.then(noted, noted));
  };
  try {
    for (const stream of streams) pull(stream);
    for (let missing = limit; missing > 0 && reading.size > 0;) {
      for (const stream of more.splice(0)) pull(stream);
      const next = arrived.shift();
      if (next === undefined) {
        await come.wait(left.signal);
        continue;
      }
      const { done, value } = await next.head;
      if (done) {
        reading.delete(next.stream);
        continue;
      }
      missing--;
      yield value;
      pull(next.stream);
    }
  } finally {
    left.abort();
    await Promise.all(reading.values());
    await Promise.allSettled([...reading.keys()].map((stream) => stream.return()));
  }
}
