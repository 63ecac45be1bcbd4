import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { type DetailCipher, PublishError } from "../../../broker/mod.ts";
import { defineEvent, type DomainEvent } from "../../../events/mod.ts";
import { type BrokerContract, contract, Gate, settled, sleep, SOON, until } from "../../_broker_bench.ts";
import { FaultyStore } from "../../_faulty_store.ts";
import {
  assertOrderOfSubjects,
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

/** Contracts of publishing, reading and handling over partitions. */
export const overPartitions: readonly BrokerContract[] = [
  contract(
    "30, 47",
    "publish() stores an array as a whole in each partition, and its error names partitions",
    async (bench) => {
      let refuse = true;
      const broker = await bench.over((inner) => {
        const store = new FaultyStore(inner);
        store.onAppend = (call, stream) => {
          if (refuse && stream === streamOf(2)) call.refuse(new Error("no space left"));
        };
        return store;
      }, { events: [BidPlaced], ...inPartitions(PARTITIONS) });
      const events = bids(40);
      const error = await assertRejects(() => broker.publish(events), PublishError, `(${streamOf(2)})`);
      assertStringIncludes(error.message, `1 of ${PARTITIONS} streams`);
      const missing = events.filter((_, nth) => error.positions[nth] === undefined);
      assert(missing.length > 0 && missing.length < events.length);
      assertEquals((await Array.fromAsync(broker.history(BidPlaced))).length, events.length - missing.length);
      refuse = false;
      // The same objects again: only the missing ones are stored.
      await broker.publish(events);
      assertOrderOfSubjects(await Array.fromAsync(broker.history(BidPlaced)), events.length);
    },
    "store",
  ),

  contract("30, 47", "publish() stores an event once in its partition although replies are lost", async (bench) => {
    let calls = 0;
    const broker = await bench.over((inner) => {
      const store = new FaultyStore(inner);
      store.onAppend = (call) => {
        if (++calls % 3 === 0) call.lose();
        else if (calls % 5 === 0) call.miss();
      };
      return store;
    }, { events: [BidPlaced], ...inPartitions(PARTITIONS) });
    for (let at = 0; at < 60; at += 12) await Promise.all(bids(12, { from: at }).map((event) => broker.publish(event)));
    assertOrderOfSubjects(await Array.fromAsync(broker.history(BidPlaced)), 60);
  }, "store"),

  contract("9, 47", "events of one subject are handled in order over partitions, retries included", async (bench) => {
    const broker = await connectTo(bench);
    const handled: DomainEvent[] = [];
    await broker.subscribe(BidPlaced, (event, { attempt }) => {
      if (attempt === 1 && numberOf(event) % 7 === 0) throw new Error("the first time fails");
      handled.push(event);
    }, { group: "group", concurrency: 8, key: ({ detail }) => detail.auctionId, retry: SOON });
    await broker.publish(bids(100, { auctions: 10 }));
    await settled(broker, BidPlaced);
    assertOrderOfSubjects(handled, 100);
  }),

  contract("3, 47", "consume() pulls from all partitions", async (bench) => {
    const broker = await connectTo(bench);
    await broker.publish(bids(40));
    const pulled: DomainEvent[] = [];
    for await (const delivery of broker.consume(BidPlaced, { group: "group", prefetch: 2 })) {
      pulled.push(delivery.event);
      await delivery.ack();
      if (pulled.length === 40) break;
    }
    assertOrderOfSubjects(pulled, 40);
  }),

  contract("31, 47", "prefetch bounds the deliveries of all partitions together, and starves none", async (bench) => {
    const broker = await connectTo(bench);
    // Twice as many as fit in one partition, and two in each other one.
    const [busy, ...others] = Array.from({ length: PARTITIONS }, (_, nth) => auctionIn(nth));
    const publish = (auctionId: string, count: number) =>
      broker.publish(Array.from({ length: count }, (_, n) => new BidPlaced({ auctionId, n })));
    await publish(busy!, 40);
    const gate = new Gate();
    const handled: string[] = [];
    const subscription = await broker.subscribe(BidPlaced, async ({ subject }) => {
      await gate.opened;
      handled.push(subject!);
    }, { group: "group", concurrency: 50, prefetch: 16 });
    const held = () => subscription.info().held;
    // A part of the window is kept for the partitions without events.
    await until(() => held() >= 10, "the busy partition fills its part");
    for (const auctionId of others) await publish(auctionId, 2);
    await until(
      () => subscription.info().types.every(({ held }) => held > 0),
      "deliveries of each partition are held",
    );
    for (const auctionId of others) await publish(auctionId, 20);
    for (let look = 0; look < 5; look++) {
      await sleep(10);
      assert(held() <= 16, `${held()} deliveries are held`);
    }
    gate.open();
    await until(() => handled.length === 40 + 22 * others.length, "all events are handled");
  }),

  contract(
    "3, 9, 47",
    "consume() keeps the order of each subject over partitions when deliveries are nacked",
    async (bench) => {
      const broker = await connectTo(bench);
      await broker.publish(bids(40, { auctions: 5 }));
      const pulled: DomainEvent[] = [];
      for await (const delivery of broker.consume(BidPlaced, { group: "group", retry: SOON })) {
        if (delivery.attempt < 3 && numberOf(delivery.event) % 3 === 0) {
          await delivery.nack(new Error("again"));
          continue;
        }
        pulled.push(delivery.event);
        await delivery.ack();
        if (pulled.length === 40) break;
      }
      assertOrderOfSubjects(pulled, 40);
    },
  ),

  contract("14, 47", "a group begins where `startFrom` says in each partition", async (bench) => {
    const broker = await connectTo(bench);
    await broker.publish(bids(40));
    const handled: DomainEvent[] = [];
    await broker.subscribe(BidPlaced, (event) => void handled.push(event), { group: "group", startFrom: "now" });
    // A consumer joins its partitions one after the other.
    await until(
      async () => (await broker.info(BidPlaced)).groups[0]?.partitions?.length === PARTITIONS,
      "it has joined",
    );
    await broker.publish(bids(40, { from: 40 }));
    await settled(broker, BidPlaced);
    assertEquals(handled.map(numberOf).sort((a, b) => a - b), bids(40, { from: 40 }).map(numberOf));
  }),

  contract("12, 32, 47", "close() lets handlers of all partitions finish and releases the rest", async (bench) => {
    const [broker, other] = [await connectTo(bench), await connectTo(bench)];
    const gate = new Gate();
    const handled: DomainEvent[] = [];
    const subscription = await broker.subscribe(BidPlaced, async (event) => {
      await gate.opened;
      handled.push(event);
    }, { group: "group", concurrency: PARTITIONS });
    await broker.publish(bids(40));
    await until(() => subscription.info().running === PARTITIONS, "handlers run");
    const closing = subscription.close();
    gate.open();
    await closing;
    assertEquals(handled.length, PARTITIONS);
    await other.subscribe(BidPlaced, (event) => void handled.push(event), { group: "group" });
    await settled(other, BidPlaced);
    assertEquals(handled.map(numberOf).sort((a, b) => a - b), bids(40).map(numberOf));
  }),

  contract("28, 47", "history() reads a range, backwards and with follow over partitions", async (bench) => {
    const broker = await connectTo(bench);
    for (const event of bids(20)) await broker.publish(event);
    const all = await Array.fromAsync(broker.history(BidPlaced));
    const positions = all.map(({ position }) => position!);
    const numbers = (events: AsyncIterable<DomainEvent>) => Array.fromAsync(events, numberOf);
    assertEquals((await numbers(broker.history(BidPlaced, { reverse: true }))).sort(), all.map(numberOf).sort());
    const [from, to] = [positions[5]!, positions[14]!];
    const inRange = all.filter(({ position }) => position! >= from && position! <= to).map(numberOf);
    assertEquals((await numbers(broker.history(BidPlaced, { from, to }))).sort(), inRange.sort());
    const followed: DomainEvent[] = [];
    for await (const event of broker.history(BidPlaced, { follow: true })) {
      if (followed.push(event) === 20) await broker.publish(bids(20, { from: 20 }));
      if (followed.length === 40) break;
    }
    assertOrderOfSubjects(followed, 40);
  }),

  contract(
    "33, 47",
    "live listeners hear the events of all partitions, those of each subject in order",
    async (bench) => {
      const [broker, other] = [await connectTo(bench), await connectTo(bench)];
      await other.publish(bids(10));
      const heard: DomainEvent[] = [];
      broker.addEventListener("BidPlaced", (event) => heard.push(event));
      // Publishing by the same broker waits until the listener is attached in each partition.
      await broker.publish(bidsInEach());
      const more = bids(40, { from: PARTITIONS });
      await other.publish(more);
      await until(() => heard.length === PARTITIONS + more.length, "all are heard");
      assertOrderOfSubjects(heard, PARTITIONS + more.length);
    },
  ),

  contract("24, 47", "encrypted events are published to partitions, and handled in order", async (bench) => {
    class Charged extends defineEvent("Charged", {
      stream: "Auction",
      subject: "auctionId",
      sensitive: ["card"],
      encrypt: true,
    })<{ auctionId: string; card: string; n: number }> {}
    const broker = await bench.connect([Charged], { encryption: REVERSING, ...inPartitions(PARTITIONS) });
    const handled: Charged[] = [];
    await broker.subscribe(Charged, (event) => void handled.push(event), { group: "group" });
    const events = bids(40).map(({ detail }) => new Charged({ ...detail, card: `card-${detail.n}` }));
    await Promise.all([broker.publish(events.slice(0, 20)), ...events.slice(20).map((event) => broker.publish(event))]);
    await settled(broker, Charged);
    assertOrderOfSubjects(handled, 40);
    assert(handled.every(({ detail: { card, n } }) => card === `card-${n}`));
  }),

  contract("26, 47", "a subscription continues in a partition whose group was lost", async (bench) => {
    const [broker, store] = [await connectTo(bench), await bench.store()];
    const handled: DomainEvent[] = [];
    const subscription = await broker.subscribe(BidPlaced, (event) => void handled.push(event), { group: "group" });
    await broker.publish(bidsInEach());
    await settled(broker, BidPlaced);
    // The group is deleted in one partition only: an error ends the subscription, and a new one makes the group again.
    subscription.addEventListener("error", () => {});
    await store.admin(streamOf(1)).removeGroup("group", { force: true });
    await assertRejects(() => subscription.closed, Error, streamOf(1));
    await subscription.close();
    await broker.subscribe(BidPlaced, (event) => void handled.push(event), { group: "group", startFrom: "now" });
    await until(async () => (await broker.info(BidPlaced)).groups[0]?.partitions?.length === PARTITIONS, "it is back");
    await broker.publish(new BidPlaced({ auctionId: auctionIn(1), n: PARTITIONS }));
    await settled(broker, BidPlaced);
    assertOrderOfSubjects(handled, PARTITIONS + 1);
  }, "store"),
];

interface Card {
  readonly card: string | { readonly $enc: string };
  readonly n: number;
}

/** Stands for encryption: it writes a card backwards, and takes longer for some events than for others. */
const REVERSING: DetailCipher = {
  seal: async (detail) => {
    const { card, n } = detail as Card;
    await sleep(n % 3);
    return { ...detail as Card, card: { $enc: reversed(card as string) } };
  },
  open: async (detail) => {
    const { card, n } = detail as Card;
    await sleep(n % 3);
    return { detail: { ...detail as Card, card: reversed((card as { $enc: string }).$enc) }, shredded: false };
  },
};

function reversed(text: string): string {
  return [...text].reverse().join("");
}
