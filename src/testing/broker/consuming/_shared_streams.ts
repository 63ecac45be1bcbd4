import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { PermanentError } from "../../../broker/mod.ts";
import { defineEvent, type DomainEvent } from "../../../events/mod.ts";
import { StoreError } from "../../../store/mod.ts";
import { type BrokerBench, type BrokerContract, contract, groupOf, settled, SOON, until } from "../../_broker_bench.ts";

/** The stream of the first class has its name, so its entries need not say their type. */
class Auction extends defineEvent("Auction")<{ n: number }> {}
class BidPlaced extends defineEvent("BidPlaced", { stream: "Auction" })<{ n: number }> {}
class AuctionEnded extends defineEvent("AuctionEnded", { stream: "Auction" })<{ n: number }> {}

const ALL = [Auction, BidPlaced, AuctionEnded];
const connect = (bench: BrokerBench) => bench.connect(ALL);
const textOf = (event: DomainEvent) => `${event.type} ${(event.detail as { n: number }).n}`;
const auction = () => [
  new Auction({ n: 0 }),
  new BidPlaced({ n: 1 }),
  new BidPlaced({ n: 2 }),
  new AuctionEnded({ n: 3 }),
  new BidPlaced({ n: 4 }),
];
const TEXTS = ["Auction 0", "BidPlaced 1", "BidPlaced 2", "AuctionEnded 3", "BidPlaced 4"];

export const sharing: readonly BrokerContract[] = [
  contract("38", "publish() stores an array of classes that share a stream together, in its order", async (bench) => {
    const [broker, store] = [await connect(bench), await bench.store()];
    const events = auction();
    await broker.publish(events);
    const entries = (await Array.fromAsync(store.read("events:Auction"))).flat();
    assertEquals(entries.map(({ position }) => position), events.map(({ position }) => position!));
    const types = entries.map(({ fields }) => fields.includes("type") ? fields[fields.indexOf("type") + 1] : undefined);
    // Only entries of another type than the stream's name say their type.
    assertEquals(types, [undefined, "BidPlaced", "BidPlaced", "AuctionEnded", "BidPlaced"]);
    assertEquals((await Array.fromAsync(store.read("events:BidPlaced"))).flat(), []);
  }, "store"),

  contract("28, 38", "history() and replay() see classes that share a stream in one order", async (bench) => {
    const broker = await connect(bench);
    await broker.publish(auction());
    const read = (...args: Parameters<typeof broker.history>) => Array.fromAsync(broker.history(...args), textOf);
    assertEquals(await read(ALL), TEXTS);
    assertEquals(await read(ALL, { reverse: true, limit: 2 }), [TEXTS[4]!, TEXTS[3]!]);
    // Entries of other types are neither given nor counted.
    assertEquals(await read(BidPlaced, { limit: 2 }), [TEXTS[1]!, TEXTS[2]!]);
    assertEquals(await read(Auction), [TEXTS[0]!]);
    assertEquals(await read([BidPlaced, AuctionEnded], { limit: 0 }), []);
    const replayed: string[] = [];
    assertEquals(await broker.replay([Auction, AuctionEnded], (event) => replayed.push(textOf(event))), 2);
    assertEquals(replayed, [TEXTS[0]!, TEXTS[3]!]);
  }),

  contract("38", "a group over classes of one stream gets them in one order, and skips other types", async (bench) => {
    const broker = await connect(bench);
    const handled: string[] = [];
    await broker.subscribe([BidPlaced, AuctionEnded], (event) => void handled.push(textOf(event)), { group: "group" });
    await broker.publish(auction());
    await settled(broker, Auction);
    assertEquals(handled, TEXTS.slice(1));
    const { types, skipped, pending, lag } = await groupOf(broker, BidPlaced);
    assertEquals([types, skipped, pending, lag], [["AuctionEnded", "BidPlaced"], 1, 0, 0]);
    const info = await broker.info(AuctionEnded);
    assertEquals([info.type, info.stream, info.length], ["AuctionEnded", "Auction", 5]);
  }),

  contract("11, 38", "a group is for one set of types: a subscription with another set is refused", async (bench) => {
    const [broker, other] = [await connect(bench), await connect(bench)];
    const handled: string[] = [];
    const subscription = await broker.subscribe(BidPlaced, (event) => void handled.push(textOf(event)), {
      group: "group",
    });
    const others: (typeof ALL)[] = [[AuctionEnded], [BidPlaced, AuctionEnded], [Auction]];
    for (const events of others) {
      const error = await assertRejects(
        () => other.subscribe(events, () => assert(false, "it takes an event of another service"), { group: "group" }),
        StoreError,
      );
      assertEquals(error.kind, "types-differ");
      assertStringIncludes(error.message, "the group is for BidPlaced");
      if (events[0] !== Auction) assertStringIncludes(error.message, "AuctionEnded");
    }
    await other.publish(auction());
    await settled(broker, Auction);
    assertEquals(handled, [TEXTS[1]!, TEXTS[2]!, TEXTS[4]!]);
    await subscription.close();
    // The order of the classes does not matter.
    for (const events of [[AuctionEnded, Auction], [Auction, AuctionEnded]]) {
      await (await other.subscribe(events, () => {}, { group: "both" })).close();
    }
  }),

  contract("38", "a group for the stream's own type alone skips types that share the stream later", async (bench) => {
    const broker = await bench.connect([Auction]);
    const handled: string[] = [];
    await broker.subscribe(Auction, (event) => void handled.push(textOf(event)), { group: "group" });
    await (await connect(bench)).publish(auction());
    await settled(broker, Auction);
    assertEquals(handled, [TEXTS[0]!]);
    assertEquals((await groupOf(broker, Auction)).skipped, 4);
    assertEquals(await Array.fromAsync(broker.history(Auction), textOf), [TEXTS[0]!]);
  }),

  contract("38", "alterGroup() changes the types of a group that has no live consumers", async (bench) => {
    const broker = await connect(bench);
    const handled: string[] = [];
    const options = { group: "group" };
    const subscription = await broker.subscribe(BidPlaced, (event) => void handled.push(textOf(event)), options);
    await broker.publish(auction());
    await settled(broker, Auction);
    const busy = await assertRejects(() => broker.alterGroup([BidPlaced, AuctionEnded], options), StoreError);
    assertEquals(busy.kind, "group-busy");
    await subscription.close();
    await broker.alterGroup([AuctionEnded, BidPlaced], options);
    assertEquals((await groupOf(broker, Auction)).types, ["AuctionEnded", "BidPlaced"]);
    await broker.subscribe([BidPlaced, AuctionEnded], (event) => void handled.push(textOf(event)), options);
    await broker.publish(auction());
    await settled(broker, Auction);
    assertEquals(handled.slice(3), TEXTS.slice(1));
    await assertRejects(() => broker.alterGroup(Auction, { group: "unknown" }), RangeError, "unknown");
  }),

  contract(
    "25, 38",
    "dead letters of a group over several types are listed, redriven and discarded by type",
    async (bench) => {
      const broker = await connect(bench);
      let failing = true;
      const handled: string[] = [];
      await broker.subscribe([BidPlaced, AuctionEnded], (event) => {
        if (failing) throw new PermanentError("not now");
        handled.push(textOf(event));
      }, { group: "group" });
      await broker.publish(auction());
      await settled(broker, Auction);
      const letters = (event: typeof BidPlaced | typeof AuctionEnded) =>
        Array.fromAsync(broker.deadLetters(event, { group: "group" }), ({ event }) => textOf(event!));
      assertEquals(await letters(BidPlaced), [TEXTS[1]!, TEXTS[2]!, TEXTS[4]!]);
      assertEquals(await letters(AuctionEnded), [TEXTS[3]!]);
      failing = false;
      assertEquals(await broker.redrive(AuctionEnded, { group: "group", dryRun: true }), 1);
      assertEquals(await broker.redrive(AuctionEnded, { group: "group" }), 1);
      assertEquals(await broker.redrive(AuctionEnded, { group: "group" }), 0);
      assertEquals(await broker.discardDeadLetters(BidPlaced, { group: "group", maxLength: 1 }), 2);
      assertEquals(await letters(BidPlaced), [TEXTS[4]!]);
      await settled(broker, Auction);
      assertEquals(handled, [TEXTS[3]!]);
    },
  ),

  contract(
    "24, 38",
    "a CloudEvent in a shared stream is of the type that it names, as a dead letter too",
    async (bench) => {
      const [broker, store] = [await connect(bench), await bench.store()];
      const handled: string[] = [];
      await broker.subscribe(ALL, (event) => {
        handled.push(textOf(event));
        throw new PermanentError("never");
      }, { group: "group" });
      const envelope = { specversion: "1.0", id: "1", source: "/python", type: "AuctionEnded", data: { n: 7 } };
      await store.append("events:Auction", [["payload", JSON.stringify(envelope)]]);
      await settled(broker, Auction);
      assertEquals(handled, ["AuctionEnded 7"]);
      const lettersOf = (event: (typeof ALL)[number]) => Array.fromAsync(broker.deadLetters(event, { group: "group" }));
      assertEquals([(await lettersOf(Auction)).length, (await lettersOf(AuctionEnded)).length], [0, 1]);
    },
    "store",
  ),

  contract("33, 38", "live listeners hear the types they listen to, in the order of the stream", async (bench) => {
    const broker = await connect(bench);
    const heard: string[] = [];
    const listener = (event: DomainEvent) => void heard.push(textOf(event));
    broker.addEventListener("BidPlaced", listener);
    broker.addEventListener("AuctionEnded", listener);
    await broker.publish(auction());
    await until(() => heard.length === 4, "all are heard");
    broker.removeEventListener("BidPlaced", listener);
    await broker.publish(auction());
    await until(() => heard.length === 5, "the other type is still heard");
    assertEquals(heard, [...TEXTS.slice(1), TEXTS[3]!]);
  }),

  contract("9, 38", "events of one key are handled in order across the types that share a stream", async (bench) => {
    const broker = await connect(bench);
    const handled: string[] = [];
    await broker.subscribe(ALL, (event, { attempt }) => {
      if (attempt === 1) throw new Error("the first time fails");
      handled.push(textOf(event));
    }, { group: "group", key: () => "one", concurrency: 4, retry: SOON });
    await broker.publish(auction());
    await settled(broker, Auction);
    assertEquals(handled, TEXTS);
  }),

  contract(
    "24, 38",
    "an entry of a newer version waits for a release that knows it, whatever its type",
    async (bench) => {
      class NewBid extends defineEvent("BidPlaced", { stream: "Auction", version: 2, upcast: { 1: (it) => it } })<
        { n: number }
      > {}
      const [old, newer] = [await connect(bench), await bench.connect([NewBid, AuctionEnded])];
      const handled: string[] = [];
      const options = { group: "group" };
      const before = await old.subscribe(
        [BidPlaced, AuctionEnded],
        (event) => void handled.push(textOf(event)),
        options,
      );
      await newer.publish([new NewBid({ n: 1 }), new AuctionEnded({ n: 2 })]);
      await until(async () => (await groupOf(old, Auction)).deferred.length === 1, "the bid is deferred");
      await until(() => handled.length === 1, "the end is handled");
      await before.close();
      await newer.subscribe([NewBid, AuctionEnded], (event) => void handled.push(textOf(event)), options);
      await settled(old, Auction);
      assertEquals(handled, ["AuctionEnded 2", "BidPlaced 1"]);
    },
  ),
];
