import { assert, assertEquals } from "@std/assert";
import type { EventBroker, SubscribeOptions, Subscription } from "../../../broker/mod.ts";
import { defineEvent } from "../../../events/mod.ts";
import { type BrokerBench, until } from "../../_broker_bench.ts";

export class BidPlaced extends defineEvent("BidPlaced", { stream: "Auction", subject: "auctionId" })<
  { auctionId: string; n: number }
> {}

type Broker = EventBroker<typeof BidPlaced>;

export const PARTITIONS = 8;
export const GROUP = "group";
// Long enough that a lease never ends while a test is delayed on a busy machine.
export const LEASE = 10_000;
export const events: readonly (typeof BidPlaced)[] = [BidPlaced];
export function options(partitions: number = PARTITIONS): { streams: { Auction: { partitions: number } } } {
  return { streams: { Auction: { partitions } } };
}

/** A handled event: by which consumer. */
interface Handled {
  readonly event: BidPlaced;
  readonly by: string;
}

/** The consumers of a test, and what they have handled. */
export class AssignedGroup {
  readonly handled: Handled[] = [];
  readonly subscriptions = new Map<string, Subscription>();
  /** Handlers wait here before they end. */
  gate: Promise<unknown> = Promise.resolve();
  /** Thrown by handlers. */
  fails: (event: BidPlaced, attempt: number) => boolean = () => false;
  #bench: BrokerBench;
  #partitions: number;
  #running = new Map<string, string>();
  #started = new Set<string>();
  #published = 0;
  /** The consumer of each partition, and how often it changed. */
  #owners = new Map<number, string>();
  #moves = new Map<number, number>();

  constructor(bench: BrokerBench, partitions = PARTITIONS) {
    this.#bench = bench;
    this.#partitions = partitions;
  }

  connect(): Promise<Broker> {
    return this.#bench.connect(events, options(this.#partitions));
  }

  /** A consumer in a broker of its own. */
  async start(
    name: string,
    { broker, ...more }: { broker?: Broker } & Partial<SubscribeOptions<BidPlaced>> = {},
  ): Promise<Subscription> {
    const subscription = await (broker ?? await this.connect()).subscribe(
      BidPlaced,
      async (event, { attempt, signal }) => {
        const subject = event.subject!;
        const other = this.#running.get(subject);
        // A handler of a dead consumer may still run, and a test removes the consumer that it lets die.
        const isOver = other === undefined || this.#started.has(other) && !this.subscriptions.has(other);
        assert(isOver || signal.aborted, `${subject} is handled by ${name} while ${other} handles it`);
        this.#running.set(subject, name);
        try {
          await this.gate;
          if (this.fails(event, attempt)) throw new Error("not now");
          this.handled.push({ event, by: name });
        } finally {
          if (this.#running.get(subject) === name) this.#running.delete(subject);
        }
      },
      {
        group: GROUP,
        consumer: name,
        lease: LEASE,
        concurrency: 4,
        retry: { minTimeout: 20, maxTimeout: 50 },
        ...more,
      },
    );
    this.subscriptions.set(name, subscription);
    this.#started.add(name);
    return subscription;
  }

  async stop(name: string): Promise<void> {
    await this.subscriptions.get(name)!.close();
    this.subscriptions.delete(name);
  }

  /** Publishes bids of many auctions. */
  async publish(broker: Broker, count: number, auctions = 40): Promise<void> {
    const from = this.#published;
    this.#published += count;
    await broker.publish(Array.from({ length: count }, (_, nth) => {
      const n = from + nth;
      return new BidPlaced({ auctionId: `auction-${n % auctions}`, n });
    }));
  }

  /** The partitions of each consumer, as the processes see them. */
  get shares(): Map<string, number[]> {
    return new Map([...this.subscriptions].map(([name, subscription]) => [
      name,
      subscription.info().types.flatMap(({ partition }) => partition ?? []).sort((a, b) => a - b),
    ]));
  }

  get sizes(): number[] {
    return [...this.shares.values()].map(({ length }) => length).sort((a, b) => a - b);
  }

  /** Waits until the partitions are spread evenly; returns after how many milliseconds. Notes who has which. */
  async spread(timeout?: number): Promise<number> {
    const since = performance.now();
    const least = Math.floor(this.#partitions / this.subscriptions.size);
    await until(
      () => {
        const { sizes } = this;
        return sizes.reduce((sum, size) => sum + size, 0) === this.#partitions &&
          sizes.every((size) => size === least || size === least + 1);
      },
      "the partitions are spread evenly",
      timeout,
    );
    const took = performance.now() - since;
    for (const [name, partitions] of this.shares) {
      for (const partition of partitions) {
        const before = this.#owners.get(partition);
        this.#owners.set(partition, name);
        if (before !== undefined && before !== name) this.#moves.set(partition, (this.#moves.get(partition) ?? 0) + 1);
      }
    }
    return took;
  }

  /** How often the partition that moved most has moved. */
  get mostMoves(): number {
    return Math.max(0, ...this.#moves.values());
  }

  /** Asserts that all events were handled, those of each subject in order; at most `repeated` of them twice. */
  assertOrder(repeated = 0): void {
    const numbers = this.handled.map(({ event }) => event.detail.n);
    const distinct = new Set(numbers);
    assertEquals(distinct.size, this.#published, "events are missing");
    assert(numbers.length - distinct.size <= repeated, `${numbers.length - distinct.size} events were handled twice`);
    for (const [subject, own] of Map.groupBy(this.handled, ({ event }) => event.subject)) {
      let highest = -1;
      const seen = new Set<number>();
      for (const { event: { detail: { n } } } of own) {
        // After a death, the events that were not settled come again.
        if (!seen.has(n)) assert(n > highest, `${subject}: ${own.map(({ event }) => event.detail.n)}`);
        seen.add(n);
        highest = Math.max(highest, n);
      }
    }
  }
}

/** The living consumers of each partition, as the store has them. */
export async function ownersOf(bench: BrokerBench, partitions = PARTITIONS): Promise<string[][]> {
  const store = await bench.store();
  return await Promise.all(
    Array.from({ length: partitions }, async (_, partition) => {
      const { groups } = await store.admin(`events:Auction#${partition}`).info();
      const consumers = groups.find(({ name }) => name === GROUP)?.consumers ?? [];
      return consumers.filter(({ alive }) => alive).map(({ name }) => name.slice(0, name.lastIndexOf(".")));
    }),
  );
}

/** Asserts that a change takes less than a second. On a busy machine it may take longer once or twice. */
export async function withinASecond(change: () => Promise<number>): Promise<void> {
  const took: number[] = [];
  while (took.length < 3) {
    took.push(await change());
    if (took.at(-1)! < 1_000) return;
  }
  throw new Error(`Each time it took more than a second: ${took.map((ms) => `${Math.round(ms)} ms`).join(", ")}`);
}
