import { assert, assertEquals, assertRejects } from "@std/assert";
import { type Operation, PermanentError } from "../../../broker/mod.ts";
import type { DomainEvent } from "../../../events/mod.ts";
import { StoreError } from "../../../store/mod.ts";
import {
  type BrokerContract,
  contract,
  Gate,
  groupOf,
  lettersOf,
  positionsOf,
  settled,
  told,
  until,
} from "../../_broker_bench.ts";
import {
  AuctionEnded,
  auctionIn,
  BidPlaced,
  bids,
  bidsInEach,
  connectTo,
  inPartitions,
  numberOf,
  PARTITIONS,
  streamOf,
} from "./_bids.ts";

const GROUP = { group: "group" };

/** Contracts of operating a stream with partitions. */
export const operatingPartitions: readonly BrokerContract[] = [
  contract("47", "info() sums over partitions, and shows each partition and its owner", async (bench) => {
    const broker = await connectTo(bench);
    const gate = new Gate();
    const slow = auctionIn(2);
    const subscription = await broker.subscribe(BidPlaced, async ({ subject }) => {
      if (subject === slow) await gate.opened;
    }, { ...GROUP, consumer: "pod-0", concurrency: PARTITIONS, prefetch: 8, key: ({ subject }) => subject! });
    const events = [
      ...bids(40),
      ...Array.from({ length: 10 }, (_, nth) => new BidPlaced({ auctionId: slow, n: 40 + nth })),
    ];
    for (const event of events) await broker.publish(event);
    await until(async () => {
      const { partitions = [] } = await groupOf(broker, BidPlaced);
      const behind = partitions.filter(({ lag, pending }) => lag + pending > 0);
      return behind.length === 1 && behind[0]!.partition === 2;
    }, "one partition is behind its siblings");
    const info = await broker.info(BidPlaced);
    assertEquals([info.length, info.partitions?.length], [50, PARTITIONS]);
    assertEquals(info.partitions!.map(({ partition }) => partition), [0, 1, 2, 3]);
    assertEquals(info.partitions!.map(({ stream }) => stream), [0, 1, 2, 3].map(streamOf));
    assertEquals(info.partitions!.reduce((sum, { length }) => sum + length, 0), 50);
    const sorted = positionsOf(events).map((position) => Number.parseInt(position!)).sort((a, b) => a - b);
    assertEquals([info.first, info.last].map((position) => Number.parseInt(position!)), [sorted[0], sorted.at(-1)]);
    const [group] = info.groups;
    assertEquals(group!.partitions!.map(({ owner }) => owner), Array.from({ length: PARTITIONS }, () => "pod-0"));
    const own = info.partitions![2]!.groups[0]!;
    assert(own.lag + own.pending > 0);
    assertEquals([group!.lag, group!.pending, group!.oldestUnsettled], [own.lag, own.pending, own.oldestUnsettled]);
    assertEquals(group!.consumers.filter(({ alive }) => alive).length, 1);
    gate.open();
    await settled(broker, BidPlaced);
    await subscription.close();
    const after = await groupOf(broker, BidPlaced);
    assertEquals(after.partitions!.map(({ owner }) => owner), Array.from({ length: PARTITIONS }, () => undefined));
  }),

  contract(
    "22, 25, 47",
    "dead letters of all partitions are listed in one order, redriven and discarded",
    async (bench) => {
      const broker = await connectTo(bench);
      let failing = true;
      const handled: DomainEvent[] = [];
      await broker.subscribe(BidPlaced, (event) => {
        if (failing) throw new PermanentError("not now");
        handled.push(event);
      }, GROUP);
      for (const event of bids(12)) {
        await broker.publish(event);
        await settled(broker, BidPlaced);
      }
      const letters = await lettersOf(broker, BidPlaced);
      assertEquals(letters.map(({ event }) => numberOf(event!)).sort((a, b) => a - b), bids(12).map(numberOf));
      const times = letters.map(({ lastFailedAt }) => lastFailedAt.getTime());
      assertEquals(times, times.toSorted((a, b) => a - b));
      assertEquals(new Set(letters.map(({ id }) => id)).size, 12);
      assertEquals((await groupOf(broker, BidPlaced)).deadLetters, 12);
      failing = false;
      const some = [letters[1]!, letters[4]!, letters[7]!];
      const ids = some.map(({ id }) => id);
      assertEquals(await broker.redrive(BidPlaced, { ...GROUP, ids, dryRun: true }), 3);
      assertEquals(await broker.redrive(BidPlaced, { ...GROUP, ids }), 3);
      assertEquals(await broker.redrive(BidPlaced, { ...GROUP, ids: [...ids, "0", "99/1", "x"] }), 0);
      await settled(broker, BidPlaced);
      assertEquals(handled.map(({ id }) => id).sort(), some.map(({ event }) => event!.id).sort());
      assertEquals(await broker.discardDeadLetters(BidPlaced, { ...GROUP, ids: [letters[0]!.id] }), 1);
      // The bound counts over all partitions: the oldest go.
      assertEquals(await broker.discardDeadLetters(BidPlaced, { ...GROUP, maxLength: 5, dryRun: true }), 3);
      assertEquals(await broker.discardDeadLetters(BidPlaced, { ...GROUP, maxLength: 5 }), 3);
      const left = letters.filter(({ id }) => !ids.includes(id)).slice(4);
      assertEquals((await lettersOf(broker, BidPlaced)).map(({ id }) => id), left.map(({ id }) => id));
      assertEquals(await broker.discardDeadLetters(BidPlaced, { ...GROUP, maxAge: 3_600_000 }), 0);
      assertEquals(await broker.redrive(BidPlaced, GROUP), 5);
      await settled(broker, BidPlaced);
      assertEquals([handled.length, (await lettersOf(broker, BidPlaced)).length], [8, 0]);
    },
  ),

  contract("29, 47", "rewind() moves a group in all partitions, while it consumes", async (bench) => {
    const broker = await connectTo(bench);
    const handled: DomainEvent[] = [];
    await broker.publish(bids(40));
    await broker.subscribe([BidPlaced, AuctionEnded], (event) => void handled.push(event), GROUP);
    await settled(broker, BidPlaced);
    const operations: Operation[] = [];
    using _observing = broker.observe({ operating: (operation) => void operations.push(operation) });
    const { dropped, first } = await broker.rewind(BidPlaced, { ...GROUP, to: "beginning" });
    assertEquals([dropped, first], [0, (await broker.info(BidPlaced)).first]);
    assertEquals(operations.map(({ name }) => name), ["rewind"]);
    await until(() => handled.length === 80, "all come again");
    await settled(broker, BidPlaced);
    const numbers = handled.map(numberOf).sort((a, b) => a - b);
    assertEquals(numbers, [...bids(40), ...bids(40)].map(numberOf).sort((a, b) => a - b));
    await assertRejects(() => broker.rewind(BidPlaced, { group: "unknown", to: "beginning" }), RangeError, '"group"');
  }),

  contract("29, 47", "rewind() starts in no partition when the group is missing in one", async (bench) => {
    const [broker, store] = [await connectTo(bench), await bench.store()];
    const subscription = await broker.subscribe(BidPlaced, () => {}, GROUP);
    await broker.publish(bidsInEach());
    await settled(broker, BidPlaced);
    await subscription.close();
    await store.admin(streamOf(3)).removeGroup("group", { force: true });
    await assertRejects(() => broker.rewind(BidPlaced, { ...GROUP, to: "beginning" }), RangeError, streamOf(3));
    assertEquals((await groupOf(broker, BidPlaced)).lag, 0);
  }, "store"),

  contract("38, 47", "alterGroup() changes the types of a group in all partitions, or in none", async (bench) => {
    const broker = await connectTo(bench);
    const handled: DomainEvent[] = [];
    const subscription = await broker.subscribe(BidPlaced, (event) => void handled.push(event), GROUP);
    const both: (typeof BidPlaced | typeof AuctionEnded)[] = [BidPlaced, AuctionEnded];
    const busy = await assertRejects(() => broker.alterGroup(both, GROUP), StoreError);
    assertEquals(busy.kind, "group-busy");
    await subscription.close();
    await broker.alterGroup(both, GROUP);
    assertEquals((await groupOf(broker, BidPlaced)).types, ["AuctionEnded", "BidPlaced"]);
    await broker.subscribe(both, (event) => void handled.push(event), GROUP);
    await broker.publish([0, 1, 2, 3].map((n) => new AuctionEnded({ auctionId: auctionIn(n), n })));
    await settled(broker, BidPlaced);
    assertEquals(handled.map(numberOf).sort(), [0, 1, 2, 3]);
  }),

  contract("26, 47", "deleteGroup() deletes a group in all partitions", async (bench) => {
    const broker = await connectTo(bench);
    const subscription = await broker.subscribe(BidPlaced, () => {
      throw new PermanentError("never");
    }, GROUP);
    await broker.publish(bidsInEach());
    await settled(broker, BidPlaced);
    await subscription.close();
    // It has dead letters.
    const busy = await assertRejects(() => broker.deleteGroup(BidPlaced, GROUP), StoreError, "dead letters");
    assertEquals(busy.kind, "group-busy");
    assertEquals((await groupOf(broker, BidPlaced)).partitions!.length, PARTITIONS);
    await broker.deleteGroup(BidPlaced, { ...GROUP, force: true });
    const { groups, partitions } = await broker.info(BidPlaced);
    assertEquals([groups.length, partitions!.flatMap(({ groups }) => groups).length], [0, 0]);
  }),

  contract("27, 47", "retention is divided among partitions, and keeps what a group needs", async (bench) => {
    const broker = await bench.connect([BidPlaced], {
      ...inPartitions(PARTITIONS),
      retention: { maxLength: 100 * PARTITIONS },
    });
    for (let at = 0; at < 2_000; at += 200) await broker.publish(bids(200, { from: at }));
    // A partition is trimmed after every 100 events.
    await until(async () => {
      const { partitions = [] } = await broker.info(BidPlaced);
      return partitions.every(({ length }) => length <= 200);
    }, "each partition keeps its share");
    const subscription = await broker.subscribe(BidPlaced, () => {}, { ...GROUP, startFrom: "now" });
    await until(
      async () => (await broker.info(BidPlaced)).groups[0]?.partitions?.length === PARTITIONS,
      "it has joined",
    );
    await subscription.close();
    for (let at = 2_000; at < 4_000; at += 200) await broker.publish(bids(200, { from: at }));
    const { lag, partitions } = await groupOf(broker, BidPlaced);
    assertEquals(lag, 2_000);
    assert(partitions!.every(({ lag }) => lag > 200));
    assertEquals((await broker.info(BidPlaced)).pinnedBy, "group");
  }),

  contract("37, 47", "health() and idle() see all partitions", async (bench) => {
    const broker = await connectTo(bench);
    const gate = new Gate();
    const subscription = await broker.subscribe(BidPlaced, async ({ subject }) => {
      if (subject === auctionIn(1)) await gate.opened;
    }, { ...GROUP, concurrency: PARTITIONS });
    await broker.publish(bidsInEach());
    let isIdle = false;
    const idle = Promise.all([broker.idle(GROUP), subscription.idle()]).then(() => isIdle = true);
    await until(async () => (await groupOf(broker, BidPlaced)).pending === 1, "one handler runs");
    await until(async () => {
      const { subscriptions: [own] } = await broker.health();
      return own!.types.some(({ group }) => typeof group === "object" && group.pending === 1);
    }, "health() shows the delivery");
    assertEquals((await broker.health()).ready, true);
    assertEquals(isIdle, false);
    gate.open();
    await idle;
    const other = await connectTo(bench, 8);
    await until(async () => {
      const { ready, problems } = await other.health();
      return !ready && problems.some((problem) => problem.includes("with 8 partitions"));
    }, "health() says that the partitions differ");
  }),

  contract("47", "a deleted group is reported once, not for each partition", async (bench) => {
    const broker = await connectTo(bench);
    const subscription = await broker.subscribe(BidPlaced, () => {}, { ...GROUP, lease: 300 });
    await until(
      async () => (await broker.info(BidPlaced)).groups[0]?.partitions?.length === PARTITIONS,
      "it has joined",
    );
    const errors = told(subscription, "error");
    await broker.deleteGroup(BidPlaced, { ...GROUP, force: true });
    const error = await assertRejects(() => subscription.closed, StoreError);
    assertEquals(error.kind, "group-deleted");
    await subscription.close();
    assertEquals(errors.length, 1);
  }),
];
