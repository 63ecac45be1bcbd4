import { type Case, type Place, warmUpOf } from "../_case.ts";
import { type Detail, detailsOf, indexOf } from "../_detail.ts";
import { ROLLING_500, size } from "./publish.ts";
import type { Consumer, ConsumeSettings, System } from "../systems/_system.ts";

/** How events are handled. */
export interface Handling {
  readonly name: string;
  readonly concurrency: number;
  readonly key?: (detail: Detail) => string;
  /** Work of a handler in addition to counting. */
  work?(): Promise<void>;
}

// The shortest wait that is not a microtask.
const macrotask = () => new Promise<void>((resolve) => setImmediate(resolve));

const sync = (concurrency: number): Handling => ({ name: `sync handler, ${concurrency} at once`, concurrency });
const async = (concurrency: number): Handling => ({
  name: `async handler, ${concurrency} at once`,
  concurrency,
  work: macrotask,
});

export const SYNC_1: Handling = sync(1);
export const ASYNC_50: Handling = async(50);
/** The system has the key: the subject of an event, of which there are a thousand. */
export const SYNC_BY_SUBJECT: Handling = { ...sync(1), name: "sync handler, 1 at once, by subject (1000)" };
export const ASYNC_BY_SUBJECT: Handling = { ...ASYNC_50, name: "async handler, 50 at once, by subject (1000)" };
export const HANDLINGS: readonly Handling[] = [
  SYNC_1,
  sync(50),
  async(1),
  ASYNC_50,
  async(500),
  { ...async(50), name: "async handler, 50 at once, by key (64)", key: (detail) => String(indexOf(detail) % 64) },
];

/** Counts handled events. `all` resolves once each event was handled. */
export class Counter {
  readonly all: Promise<void>;
  #seen: Uint8Array;
  #left: number;
  #extra = 0;
  #callbackAt: number | undefined;
  #callback = () => {};
  #resolve: () => void;

  constructor(count: number) {
    const { promise, resolve } = Promise.withResolvers<void>();
    [this.all, this.#resolve] = [promise, resolve];
    this.#seen = new Uint8Array(count);
    this.#left = count;
  }

  /** Calls `callback` as soon as `count` events were seen. */
  at(count: number, callback: () => void): void {
    [this.#callbackAt, this.#callback] = [this.#left - count, callback];
  }

  saw(detail: Detail): void {
    const index = indexOf(detail);
    if (this.#seen[index] === 1) this.#extra++;
    else {
      this.#seen[index] = 1;
      if (--this.#left === 0) this.#resolve();
      if (this.#left === this.#callbackAt) this.#callback();
    }
  }

  /** Throws unless each event was handled exactly once. */
  check(name: string): void {
    if (this.#left + this.#extra === 0) return;
    throw new Error(`Cannot count ${name}: ${this.#left} events were missing, ${this.#extra} came more than once`);
  }
}

/** A handler that counts, and does the work of `handling`, if any. */
export function handlerOf(counter: () => Pick<Counter, "saw">, { work }: Handling): ConsumeSettings["handler"] {
  if (work === undefined) return (detail) => counter().saw(detail);
  return async (detail) => {
    await work();
    counter().saw(detail);
  };
}

/** Consumes a backlog while nothing is published. Measured from a third of the backlog until the last handler has run. */
export function consumeCase(
  system: System,
  handling: Handling,
  bytes: number,
  { against = [], count = 50_000 }: { against?: readonly string[]; count?: number } = {},
): Case {
  return {
    group: `consume ${size(bytes)}, ${handling.name}`,
    name: system.name,
    count,
    against,
    ...(system.note !== undefined && { note: system.note }),
    setup: async (place, count) => {
      const warmUp = warmUpOf(count);
      await fill(system, place, warmUp + count, bytes);
      const counter = new Counter(warmUp + count);
      let consumer: Consumer | undefined;
      return {
        run: async (begin) => {
          counter.at(warmUp, begin);
          consumer = await system.consumer!(place, { ...handling, handler: handlerOf(() => counter, handling) });
          await counter.all;
        },
        close: async () => {
          await consumer?.close();
          counter.check(system.name);
          const left = await system.unsettled?.(place) ?? 0;
          if (left > 0) throw new Error(`Cannot count ${system.name}: ${left} events were not acknowledged`);
        },
      };
    },
  };
}

async function fill(system: System, place: Place, count: number, bytes: number): Promise<void> {
  const detail = detailsOf(bytes);
  if (system.fill) return await system.fill(place, Array.from({ length: count }, (_, index) => detail(index)));
  const publisher = await system.publisher(place);
  await ROLLING_500.run(publisher, count, detail);
  await publisher.close();
}
