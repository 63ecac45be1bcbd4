import { assert, assertEquals, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import { type BrokerOptions, EventBroker, partitionOf, type WarningEvent } from "../../../broker/mod.ts";
import { defineEvent, type DomainEvent, type EventClass } from "../../../events/mod.ts";
import { StoreError } from "../../../store/mod.ts";
import { type BrokerContract, contract, settled, told, until } from "../../_broker_bench.ts";
import {
  assertOrderOfSubjects,
  AuctionEnded,
  auctionIn,
  BidPlaced,
  bids,
  connectTo,
  numberOf,
  PARTITIONS,
  streamOf,
} from "./_bids.ts";

export const partitioned: readonly BrokerContract[] = [
  contract(
    "46",
    "publish() stores each event in the partition of its subject, in the order of the calls",
    async (bench) => {
      const [broker, store] = [await connectTo(bench), await bench.store()];
      const events = bids(60);
      await Promise.all([
        ...events.slice(0, 30).map((event) => broker.publish(event)),
        broker.publish(events.slice(30)),
      ]);
      let found = 0;
      for (let partition = 0; partition < PARTITIONS; partition++) {
        const entries = (await Array.fromAsync(store.read(streamOf(partition)))).flat();
        const own = events.filter(({ subject }) => partitionOf(subject!, PARTITIONS) === partition);
        assertEquals(entries.map(({ position }) => position), own.map(({ position }) => position!));
        assert(own.length > 0, `No auction is in partition ${partition}`);
        found += entries.length;
      }
      assertEquals(found, events.length);
      assertEquals((await Array.fromAsync(store.read("events:Auction"))).flat(), []);
    },
    "store",
  ),

  contract("28, 46", "history() merges partitions by position, and keeps the order of each subject", async (bench) => {
    const broker = await connectTo(bench);
    assertEquals(await Array.fromAsync(broker.history(BidPlaced)), []);
    for (const event of bids(60)) await broker.publish(event);
    const events = await Array.fromAsync(broker.history(BidPlaced));
    assertOrderOfSubjects(events, 60);
    assertEquals(
      (await Array.fromAsync(broker.history(BidPlaced, { reverse: true, limit: 7 }))).length,
      7,
    );
    const times = events.map(({ position }) => Number.parseInt(position!));
    assertEquals(times, times.toSorted((a, b) => a - b));
    const replayed: DomainEvent[] = [];
    assertEquals(await broker.replay(BidPlaced, (event) => replayed.push(event)), 60);
    assertEquals(replayed.map(numberOf), events.map(numberOf));
  }),

  contract("1, 46", "a group receives the events of all partitions, those of each subject in order", async (bench) => {
    const [broker, other] = [await connectTo(bench), await connectTo(bench)];
    const handled: DomainEvent[] = [];
    await broker.publish(bids(30));
    await broker.subscribe([BidPlaced, AuctionEnded], (event) => void handled.push(event), { group: "group" });
    await other.publish([...bids(30, { from: 30 }), new AuctionEnded({ auctionId: "auction-1", n: 60 })]);
    await settled(broker, BidPlaced);
    assertOrderOfSubjects(handled, 61);
  }),

  contract("46", "a broker with another number of partitions is refused, and told the way out", async (bench) => {
    const broker = await connectTo(bench);
    await broker.publish(bids(10));
    const others = [
      [await connectTo(bench, 8), "with 8 partitions", "with 4 partitions"],
      [await bench.connect([BidPlaced, AuctionEnded]), "with no partitions", "with 4 partitions"],
    ] as const;
    for (const [other, own, theirs] of others) {
      const actions: readonly (() => Promise<unknown>)[] = [
        () => other.publish(bids(1)[0]!),
        () => other.publish(bids(3)),
        () => other.subscribe(BidPlaced, () => {}, { group: "group" }),
        () => Array.fromAsync(other.history(BidPlaced)),
        () => other.info(BidPlaced),
        () => other.rewind(BidPlaced, { group: "group", to: "beginning" }),
      ];
      for (const action of actions) {
        const error = await assertRejects(action, StoreError);
        assertEquals(error.kind, "partitions-differ");
        for (const part of [own, theirs, "streams.Auction.partitions", "broker.repartition"]) {
          assertStringIncludes(error.message, part);
        }
      }
    }
    assertEquals((await Array.fromAsync(broker.history(BidPlaced))).length, 10);
    // A live listener follows the store, but its broker is still refused.
    const [[other]] = others;
    const heard: DomainEvent[] = [];
    other.addEventListener("BidPlaced", (event) => heard.push(event));
    await until(async () => {
      await broker.publish(bids(10));
      return heard.length > 0;
    }, "an event is heard");
    await assertRejects(() => other.publish(bids(1)[0]!), StoreError, "with 8 partitions");
  }),

  contract("46", "a stream that was used without partitions gets none", async (bench) => {
    const before = await bench.connect([BidPlaced]);
    await before.publish(bids(3));
    const broker = await connectTo(bench);
    const error = await assertRejects(() => broker.publish(bids(1)[0]!), StoreError, "without partitions, with events");
    assertEquals(error.kind, "partitions-differ");
    await assertRejects(() => broker.subscribe(BidPlaced, () => {}, { group: "group" }), StoreError);
    assertEquals((await Array.fromAsync(before.history(BidPlaced))).length, 3);
  }),

  contract("46", "brokers that publish first at the same time agree on the partitions", async (bench) => {
    const brokers = await Promise.all(Array.from({ length: 6 }, () => connectTo(bench)));
    const events = bids(60);
    await Promise.all(events.map((event, n) => brokers[n % brokers.length]!.publish(event)));
    assertOrderOfSubjects(
      (await Array.fromAsync(brokers[0]!.history(BidPlaced))).sort((a, b) => numberOf(a) - numberOf(b)),
      60,
    );
  }),

  contract("46", "an entry in the wrong partition is handled, and reported once", async (bench) => {
    const [broker, store] = [await connectTo(bench), await bench.store()];
    const warnings = told<WarningEvent>(broker, "warning");
    const handled: DomainEvent[] = [];
    await broker.subscribe(BidPlaced, (event) => void handled.push(event), { group: "group" });
    const auctionId = auctionIn(1);
    const entry = (n: number) => [
      [
        "id",
        `${n}`,
        "payload",
        JSON.stringify({ auctionId, n }),
        "type",
        "BidPlaced",
        ...(n > 0 ? ["subject", auctionId] : []),
      ],
    ];
    const [position] = await store.append(streamOf(2), entry(0));
    await until(() => warnings.length === 1, "the entry is reported");
    for (const part of [streamOf(2), streamOf(1), position!, `"${auctionId}"`, "partitionOf"]) {
      assertStringIncludes(warnings[0]!.message, part);
    }
    for (const n of [1, 2]) await store.append(streamOf(2), entry(n));
    await store.append(streamOf(3), entry(3));
    await until(() => warnings.length === 2, "the entry in another partition is reported");
    await settled(broker, BidPlaced);
    assertEquals(handled.map(numberOf).sort(), [0, 1, 2, 3]);
    assertEquals((await Array.fromAsync(broker.history(BidPlaced))).length, 4);
    assertEquals(warnings.length, 2);
  }, "store"),

  contract("34, 46", "options of streams are checked, and errors name the way out", async (bench) => {
    class Plain extends defineEvent("Plain")<{ n: number }> {}
    const store = await bench.store();
    const wrong: [events: readonly EventClass[], streams: unknown, type: ErrorConstructor, message: string][] = [
      [[BidPlaced], { Auction: { partitions: 0 } }, RangeError, "Cannot use 0 as streams.Auction.partitions"],
      [[BidPlaced], { Auction: { partitions: 1_000_000 } }, RangeError, "at least 1 and at most 1024"],
      [[BidPlaced], { Auction: { partitions: 1.5 } }, RangeError, "an integer"],
      [[BidPlaced], { Auction: { partitions: "8" } }, RangeError, 'Cannot use "8"'],
      [[BidPlaced], { Auction: { partitions: 8n } }, RangeError, "Cannot use 8n"],
      [[BidPlaced], { Auction: { partition: 8 } }, TypeError, 'unknown option "partition"'],
      [[BidPlaced], { Auctoin: { partitions: 8 } }, TypeError, "its events have the streams Auction; check the name"],
      [[BidPlaced], { BidPlaced: { partitions: 8 } }, TypeError, 'the stream "BidPlaced"'],
      [[BidPlaced], [], TypeError, "Cannot make a broker with the streams an array"],
      [[BidPlaced], null, TypeError, "Cannot make a broker with the streams null"],
      [
        [BidPlaced],
        new Map([["Auction", { partitions: 8 }]]),
        TypeError,
        "Cannot make a broker with the streams a Map",
      ],
      [[BidPlaced], { Auction: null }, TypeError, "the options must be an object"],
      [[BidPlaced, Plain], { Plain: { partitions: 8 } }, TypeError, "the class Plain takes no subject from its detail"],
    ];
    for (const [events, streams, type, message] of wrong) {
      const options = { events, streams } as BrokerOptions<EventClass>;
      assertThrows(() => new EventBroker(store, options), type, message);
    }
    assertThrows(() => defineEvent("Auction#3"), TypeError, 'it contains "#"');
    assertThrows(() => defineEvent("BidPlaced", { stream: "Auction#3" }), TypeError, 'it contains "#"');
  }, "store"),
];
