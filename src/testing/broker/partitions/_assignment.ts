import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import {
  type EventBroker,
  partitionOf,
  type RebalanceEvent,
  type SubscribeOptions,
  type Subscription,
} from "../../../broker/mod.ts";
import { defineEvent, type EventClass } from "../../../events/mod.ts";
import { StoreError } from "../../../store/mod.ts";
import {
  type BrokerBench,
  type BrokerContract,
  contract,
  Counted,
  Gate,
  settled,
  told,
  until,
  within,
} from "../../_broker_bench.ts";
import { FrozenStore } from "../../_frozen_store.ts";

class BidPlaced extends defineEvent("BidPlaced", { stream: "Auction", subject: "auctionId" })<
  { auctionId: string; n: number }
> {}

type Broker = EventBroker<typeof BidPlaced>;

const PARTITIONS = 8;
const GROUP = "group";
// Long enough that a lease never ends while a test is delayed on a busy machine.
const LEASE = 10_000;
const events = [BidPlaced];
const options = (partitions = PARTITIONS) => ({ streams: { Auction: { partitions } } });

/** A handled event: by which consumer. */
interface Handled {
  readonly event: BidPlaced;
  readonly by: string;
}

/** The consumers of a test, and what they have handled. */
class Group {
  readonly handled: Handled[] = [];
  readonly subscriptions = new Map<string, Subscription>();
  /** Handlers wait here before they end. */
  gate: Promise<unknown> = Promise.resolve();
  /** Thrown by handlers. */
  fails: (event: BidPlaced, attempt: number) => boolean = () => false;
  #bench: BrokerBench;
  #partitions: number;
  #running = new Map<string, string>();
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
        assert(other === undefined || signal.aborted, `${subject} is handled by ${name} while ${other} handles it`);
        this.#running.set(subject, name);
        try {
          await this.gate;
          if (this.fails(event, attempt)) throw new Error("not now");
          this.handled.push({ event, by: name });
        } finally {
          this.#running.delete(subject);
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
async function ownersOf(bench: BrokerBench, partitions = PARTITIONS): Promise<string[][]> {
  const store = await bench.store();
  return await Promise.all(
    Array.from({ length: partitions }, async (_, partition) => {
      const { groups } = await store.admin(`events:Auction#${partition}`).info();
      const consumers = groups.find(({ name }) => name === GROUP)?.consumers ?? [];
      return consumers.filter(({ alive }) => alive).map(({ name }) => name.slice(0, name.lastIndexOf(".")));
    }),
  );
}

export const assigning: readonly BrokerContract[] = [
  contract(
    "45",
    "subscribe() spreads 8 partitions over 3 consumers within a second of the last change",
    async (bench) => {
      const group = new Group(bench);
      await Promise.all(["a", "b", "c"].map((name) => group.start(name)));
      await group.spread();
      assertEquals(group.sizes, [2, 3, 3]);
      await withinASecond(async () => {
        await group.stop("b");
        const shrunk = await group.spread();
        assertEquals(group.sizes, [4, 4]);
        await group.start("b");
        const grown = await group.spread();
        assertEquals(group.sizes, [2, 3, 3]);
        return Math.max(shrunk, grown);
      });
    },
  ),

  contract("45", "each partition has one consumer, and subscription.info() says which", async (bench) => {
    const group = new Group(bench);
    await Promise.all(["a", "b", "c"].map((name) => group.start(name)));
    await group.spread();
    const expected = Array.from(
      { length: PARTITIONS },
      (_, partition) => [...group.shares].flatMap(([name, own]) => own.includes(partition) ? [name] : []),
    );
    assertEquals(await ownersOf(bench), expected);
  }, "store"),

  contract(
    "45, 9",
    "a rolling deploy that stops a consumer before it starts another one moves each partition at most twice",
    (bench) => deploy(bench, "stop"),
  ),

  contract(
    "45, 9",
    "a rolling deploy that starts a consumer before it stops another one moves each partition at most twice",
    (bench) => deploy(bench, "start"),
  ),

  contract("45, 9", "a consumer that comes takes over after a drain", async (bench) => {
    const group = new Group(bench, 2);
    const a = await group.start("a", { concurrency: 100 });
    const changes = told<RebalanceEvent>(a, "rebalance");
    const gate = new Gate();
    group.gate = gate.opened;
    const broker = await group.connect();
    await group.publish(broker, 40);
    await until(() => a.info().running === 40, "all handlers run");
    await group.start("b");
    await until(() => changes.some(({ lost }) => lost.length > 0), "a partition moves");
    const [moved] = changes.at(-1)!.lost;
    await group.publish(broker, 40);
    assertEquals(group.shares.get("b"), []);
    gate.open();
    await group.spread();
    assertEquals(group.shares.get("b"), [moved]);
    await settled(broker, BidPlaced);
    group.assertOrder();
    for (const { event, by } of group.handled.slice(40)) {
      assertEquals(by, partitionOf(event.subject!, 2) === moved ? "b" : "a");
    }
  }),

  contract(
    "45, 9",
    "consume() hands over at once what was not pulled, and goes on with all subjects",
    async (bench) => {
      const group = new Group(bench);
      const [one, two] = [await group.connect(), await group.connect()];
      await group.publish(one, 80);
      const { handled } = group;
      const options = { group: GROUP, lease: LEASE, drainTimeout: 60_000 };
      const first = one.consume(BidPlaced, { ...options, consumer: "a" });
      const held = (await first.next()).value!;
      const second = two.consume(BidPlaced, { ...options, consumer: "b" });
      // Only the partition of the held delivery may have to wait.
      const other = (await within(second.next(), "a delivery of another partition")).value!;
      for (const [delivery, by] of [[held, "a"], [other, "b"]] as const) {
        handled.push({ event: delivery.event, by });
        await delivery.ack();
      }
      await second.return();
      while (handled.length < 80) {
        const { value } = await within(first.next(), "the partitions that come back");
        handled.push({ event: value!.event, by: "a" });
        await value!.ack();
      }
      group.assertOrder();
      await first.return();
    },
  ),

  contract("45", "close() hands all partitions over at once", async (bench) => {
    const group = new Group(bench);
    await group.start("a");
    await group.start("b");
    await group.spread();
    const broker = await group.connect();
    await group.publish(broker, 80);
    await withinASecond(async () => {
      if (!group.subscriptions.has("a")) {
        await group.start("a");
        await group.spread();
      }
      const closing = group.stop("a");
      const took = await group.spread();
      await closing;
      return took;
    });
    await settled(broker, BidPlaced);
    group.assertOrder();
  }),

  contract(
    "45, 17, 19",
    "a consumer that dies loses its partitions after its lease, and neither earlier nor later",
    async (bench) => {
      const group = new Group(bench);
      const lease = 1_500;
      let frozen!: FrozenStore;
      const doomed = await bench.over((store) => frozen = new FrozenStore(store), { events, ...options() });
      try {
        const dying = await group.start("dying", { broker: doomed, lease });
        await group.start("b", { lease });
        await group.start("c", { lease });
        await group.spread();
        const own = group.shares.get("dying")!;
        const gate = new Gate();
        group.gate = gate.opened;
        const broker = await group.connect();
        await group.publish(broker, 80);
        await until(() => dying.info().running > 0, "the consumer runs a handler");
        const lost = told(dying, "leaselost");
        const since = performance.now();
        frozen.freeze();
        group.subscriptions.delete("dying");
        const before = Math.floor(lease * 2 / 3) - 100;
        while (performance.now() - since < before) {
          const taken = [...group.shares.values()].flat().filter((partition) => own.includes(partition));
          assertEquals(taken, [], `taken after ${performance.now() - since} ms`);
          await new Promise((resolve) => setTimeout(resolve, 20));
        }
        await group.spread();
        const took = performance.now() - since;
        assert(took < lease + 1_500, `${took} ms`);
        // What the dead consumer still does is refused: its events are handled again, in order.
        gate.open();
        await until(() => dying.info().running === 0, "its handlers have ended");
        const byDead = group.handled.filter(({ by }) => by === "dying").length;
        await settled(broker, BidPlaced);
        group.assertOrder(byDead);
        // It lives again, and takes part again.
        frozen.thaw();
        group.subscriptions.set("dying", dying);
        await group.spread();
        assert(lost.length > 0, "the consumer was not told that its deliveries are lost");
        await group.publish(broker, 80);
        await settled(broker, BidPlaced);
        group.assertOrder(byDead);
        await until(
          async () => (await ownersOf(bench)).every(({ length }) => length === 1),
          "each partition has one owner",
        );
      } finally {
        frozen.thaw();
      }
    },
    "store",
  ),

  contract(
    "45, 9",
    "events of each subject stay in order while consumers come and go and handlers fail",
    async (bench) => {
      const group = new Group(bench);
      group.fails = ({ detail: { n } }, attempt) => n % 7 === 0 && attempt < 3;
      const broker = await group.connect();
      const store = await bench.store();
      await Promise.all(["a", "b"].map((name) => group.start(name)));
      for (const name of ["c", "d", "e"]) {
        await group.publish(broker, 100);
        await group.start(name);
        await group.publish(broker, 100);
        await group.stop([...group.subscriptions.keys()][0]!);
        for (let partition = 0; partition < PARTITIONS; partition++) {
          const { groups: [state] } = await store.admin(`events:Auction#${partition}`).info();
          assert(state!.consumers.filter(({ alive }) => alive).length <= 1, `partition ${partition} has two owners`);
        }
      }
      await settled(broker, BidPlaced, GROUP, 20_000);
      group.assertOrder();
    },
    "store",
  ),

  contract("45, 9, 21", "a retry that is not due keeps its place when its partition moves", async (bench) => {
    const group = new Group(bench);
    const broker = await group.connect();
    let failedAt: number | undefined;
    group.fails = ({ detail: { n } }, attempt) => {
      if (n !== 0 || attempt > 1) return false;
      failedAt = performance.now();
      return true;
    };
    const delay = 800;
    const retry = { minTimeout: delay, maxTimeout: delay, jitter: 0 };
    await group.start("a", { retry });
    // All events have one subject.
    await group.publish(broker, 3, 1);
    await until(() => failedAt !== undefined, "the first event has failed");
    const other = group.start("b", { retry });
    await group.stop("a");
    await other;
    await settled(broker, BidPlaced);
    group.assertOrder();
    assertEquals(group.handled.map(({ by }) => by), ["b", "b", "b"]);
    assert(performance.now() - failedAt! >= delay - 50, `${performance.now() - failedAt!} ms`);
  }),

  contract("45", "subscribe() refuses another assignment than the group has, and names both", async (bench) => {
    const [one, other] = [await bench.connect(events, options()), await bench.connect(events, options())];
    for (const [group, first, second] of [["x", "exclusive", "shared"], ["y", "shared", "exclusive"]] as const) {
      const subscription = await one.subscribe(BidPlaced, () => {}, { group, assignment: first });
      for (const closed of [false, true]) {
        if (closed) await subscription.close();
        const error = await assertRejects(
          () => other.subscribe(BidPlaced, () => {}, { group, assignment: second }),
          StoreError,
        );
        assertEquals(error.kind, "assignment-differs");
        for (const text of [first, second, group, "alterGroup"]) assertStringIncludes(error.message, text);
      }
      await other.subscribe(BidPlaced, () => {}, { group, assignment: first });
    }
  }),

  contract("45", "alterGroup() changes the assignment of a group without live consumers", async (bench) => {
    const broker = await bench.connect(events, options());
    const subscribe = (assignment: "exclusive" | "shared") =>
      broker.subscribe(BidPlaced, () => {}, { group: GROUP, assignment });
    const first = await subscribe("exclusive");
    const busy = await assertRejects(
      () => broker.alterGroup(BidPlaced, { group: GROUP, assignment: "shared" }),
      StoreError,
    );
    assertEquals(busy.kind, "group-busy");
    await first.close();
    for (const assignment of ["shared", "exclusive"] as const) {
      await broker.alterGroup(BidPlaced, { group: GROUP, assignment });
      await (await subscribe(assignment)).close();
    }
    const wrong = { group: GROUP, assignment: "sticky" as "shared" };
    await assertRejects(() => broker.alterGroup(BidPlaced, wrong), TypeError, '"exclusive" or "shared"');
  }),

  contract("45", "deleteGroup() forgets the assignment of the group, whose consumers end", async (bench) => {
    const [broker, other] = [await bench.connect(events, options()), await bench.connect(events, options())];
    const subscription = await broker.subscribe(BidPlaced, () => {}, { group: GROUP });
    const errors = told(subscription, "error");
    await assertRejects(() => other.deleteGroup(BidPlaced, { group: GROUP }), StoreError, "live consumers");
    await other.deleteGroup(BidPlaced, { group: GROUP, force: true });
    await assertRejects(() => subscription.closed, StoreError, "deleted");
    assert(errors.length > 0);
    await other.subscribe(BidPlaced, () => {}, { group: GROUP, assignment: "shared" });
  }),

  contract("45", "with assignment shared, every consumer reads all partitions", async (bench) => {
    const group = new Group(bench);
    const [a, b] = [await group.start("a", { assignment: "shared" }), await group.start("b", { assignment: "shared" })];
    for (const { types } of [a.info(), b.info()]) {
      assertEquals(types.map(({ partition }) => partition), Array.from({ length: PARTITIONS }, (_, nth) => nth));
    }
  }),

  contract("45", "rebalance events tell which partitions a subscription gets and loses", async (bench) => {
    const group = new Group(bench);
    const a = await group.start("a");
    const changes = told<RebalanceEvent>(a, "rebalance");
    await until(() => changes.length === 1, "the first partitions are told");
    const all = Array.from({ length: PARTITIONS }, (_, nth) => nth);
    const [first] = changes;
    assertEquals([first!.stream, first!.assigned, first!.gained, first!.lost], ["Auction", all, all, []]);
    await group.start("b");
    await group.spread();
    await until(() => changes.length === 2, "the loss is told");
    const second = changes[1]!;
    assertEquals([second.assigned, second.gained], [group.shares.get("a"), []]);
    assertEquals([...second.assigned, ...second.lost].sort((x, y) => x - y), all);
    await group.stop("b");
    await until(() => changes.length === 3, "the gain is told");
    assertEquals([changes[2]!.assigned, changes[2]!.gained], [all, second.lost]);
  }),

  contract("45", "consumers beyond the number of partitions wait, and take over", async (bench) => {
    const group = new Group(bench, 2);
    for (const name of ["a", "b", "c"]) await group.start(name);
    await group.spread();
    assertEquals(group.sizes, [0, 1, 1]);
    const [busy] = [...group.shares].find(([, { length }]) => length === 1)!;
    await group.stop(busy);
    await group.spread();
    assertEquals(group.sizes, [1, 1]);
  }),

  contract("45, 14", "subscribe() begins a new group in all partitions before it resolves", async (bench) => {
    const group = new Group(bench);
    const broker = await group.connect();
    await broker.publish(Array.from({ length: 20 }, (_, n) => new BidPlaced({ auctionId: `old-${n}`, n })));
    await Promise.all(
      ["a", "b", "c"].map((name) => group.start(name, { startFrom: "now" }).then(() => group.publish(broker, 40))),
    );
    await settled(broker, BidPlaced);
    group.assertOrder();
  }),

  contract(
    "45, 20",
    "subscribe() refuses the name of a live consumer, and takes that of a closed one",
    async (bench) => {
      const group = new Group(bench);
      const broker = await bench.connect(events, options());
      await group.start("a", { lease: 600 });
      const error = await assertRejects(
        () => broker.subscribe(BidPlaced, () => {}, { group: GROUP, consumer: "a", lease: 600 }),
        StoreError,
      );
      assertEquals(error.kind, "name-taken");
      assertStringIncludes(error.message, '"a"');
      await group.stop("a");
      await group.start("a", { broker });
      await group.spread();
    },
  ),

  contract(
    "45",
    "subscribe() refuses an unknown assignment, and any for a stream without partitions",
    async (bench) => {
      const broker = await bench.connect<EventClass>([BidPlaced, Counted], options());
      const subscribe = (event: EventClass, assignment: unknown) =>
        broker.subscribe(event, () => {}, { group: GROUP, assignment: assignment as "shared" });
      await assertRejects(() => subscribe(BidPlaced, "sticky"), TypeError, '"exclusive" or "shared"');
      await assertRejects(() => subscribe(Counted, "shared"), TypeError, "no partitions");
    },
  ),
];

/** Asserts that a change takes less than a second. On a busy machine it may take longer once or twice. */
async function withinASecond(change: () => Promise<number>): Promise<void> {
  const took: number[] = [];
  while (took.length < 3) {
    took.push(await change());
    if (took.at(-1)! < 1_000) return;
  }
  throw new Error(`Each time it took more than a second: ${took.map((ms) => `${Math.round(ms)} ms`).join(", ")}`);
}

/** Replaces three consumers one by one while events come. */
async function deploy(bench: BrokerBench, first: "start" | "stop"): Promise<void> {
  const group = new Group(bench);
  const broker = await group.connect();
  for (const name of ["a1", "b1", "c1"]) await group.start(name);
  await group.spread();
  for (const name of ["a", "b", "c"]) {
    await group.publish(broker, 100);
    if (first === "start") {
      await group.start(`${name}2`);
      await group.spread();
    }
    await group.publish(broker, 100);
    await group.stop(`${name}1`);
    await group.spread();
    if (first === "stop") {
      await group.start(`${name}2`);
      await group.spread();
    }
  }
  assert(group.mostMoves <= 2, `A partition moved ${group.mostMoves} times`);
  assert(group.mostMoves > 0);
  await settled(broker, BidPlaced);
  group.assertOrder();
}
