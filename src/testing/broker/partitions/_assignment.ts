import { assert, assertEquals } from "@std/assert";
import { partitionOf, type RebalanceEvent } from "../../../broker/mod.ts";
import {
  type BrokerBench,
  type BrokerContract,
  contract,
  Gate,
  settled,
  told,
  until,
  within,
} from "../../_broker_bench.ts";
import { FrozenStore } from "../../_frozen_store.ts";
import {
  AssignedGroup,
  BidPlaced,
  events,
  GROUP,
  LEASE,
  options,
  ownersOf,
  PARTITIONS,
  withinASecond,
} from "./_assigned_group.ts";

export const assigning: readonly BrokerContract[] = [
  contract(
    "45",
    "subscribe() spreads 8 partitions over 3 consumers within a second of the last change",
    async (bench) => {
      const group = new AssignedGroup(bench);
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
    const group = new AssignedGroup(bench);
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
    const group = new AssignedGroup(bench, 2);
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
      const group = new AssignedGroup(bench);
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
    const group = new AssignedGroup(bench);
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
      const group = new AssignedGroup(bench);
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
      const group = new AssignedGroup(bench);
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
    const group = new AssignedGroup(bench);
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

  contract("45", "consumers beyond the number of partitions wait, and take over", async (bench) => {
    const group = new AssignedGroup(bench, 2);
    for (const name of ["a", "b", "c"]) await group.start(name);
    await group.spread();
    assertEquals(group.sizes, [0, 1, 1]);
    const [busy] = [...group.shares].find(([, { length }]) => length === 1)!;
    await group.stop(busy);
    await group.spread();
    assertEquals(group.sizes, [1, 1]);
  }),

  contract("45, 14", "subscribe() begins a new group in all partitions before it resolves", async (bench) => {
    const group = new AssignedGroup(bench);
    const broker = await group.connect();
    await broker.publish(Array.from({ length: 20 }, (_, n) => new BidPlaced({ auctionId: `old-${n}`, n })));
    await Promise.all(
      ["a", "b", "c"].map((name) => group.start(name, { startFrom: "now" }).then(() => group.publish(broker, 40))),
    );
    await settled(broker, BidPlaced);
    group.assertOrder();
  }),
];

/** Replaces three consumers one by one while events come. */
async function deploy(bench: BrokerBench, first: "start" | "stop"): Promise<void> {
  const group = new AssignedGroup(bench);
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
