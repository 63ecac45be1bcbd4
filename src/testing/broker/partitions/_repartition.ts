import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import type { EventBroker } from "../../../broker/mod.ts";
import { defineEvent } from "../../../events/mod.ts";
import { type EventStore, StoreError } from "../../../store/mod.ts";
import { type BrokerBench, type BrokerContract, contract, sleep, until } from "../../_broker_bench.ts";

class BidPlaced extends defineEvent("BidPlaced", { stream: "Auction", subject: "auctionId" })<
  { auctionId: string; n: number }
> {}
class Plain extends defineEvent("Plain", { stream: "Auction" })<{ n: number }> {}

type Broker = EventBroker<typeof BidPlaced>;

const connect = (bench: BrokerBench, partitions?: number): Promise<Broker> =>
  bench.connect([BidPlaced], partitions === undefined ? {} : { streams: { Auction: { partitions } } });

const SUBJECTS = Array.from({ length: 24 }, (_, nth) => `auction-${nth}`);

/** Bids that are numbered by subject, in the order of publishing. */
class Bids {
  readonly counts: Map<string, number> = new Map();

  next(auctionId: string): BidPlaced {
    const n = (this.counts.get(auctionId) ?? 0) + 1;
    this.counts.set(auctionId, n);
    return new BidPlaced({ auctionId, n });
  }

  /** One bid of each subject. */
  round(): BidPlaced[] {
    return SUBJECTS.map((auctionId) => this.next(auctionId));
  }

  get total(): number {
    return [...this.counts.values()].reduce((sum, count) => sum + count, 0);
  }

  /** Asserts that these are all bids, each once, and those of each subject in order. */
  assertAll(events: Iterable<BidPlaced>): void {
    const bySubject = Map.groupBy(events, ({ subject }) => subject!);
    for (const [auctionId, count] of this.counts) {
      const numbers = bySubject.get(auctionId)?.map(({ detail }) => detail.n);
      assertEquals(numbers, Array.from({ length: count }, (_, nth) => nth + 1), auctionId);
    }
  }
}

/** The streams of the partitions that have entries. */
async function usedPartitions(store: EventStore, most: number): Promise<number> {
  const lengths = await Promise.all(
    Array.from({ length: most }, async (_, nth) => (await store.admin(`events:Auction#${nth}`).info()).length),
  );
  return lengths.filter((length) => length > 0).length;
}

export const repartitioning: readonly BrokerContract[] = [
  contract("48", "repartition() while brokers publish and consume keeps the order of each subject", async (bench) => {
    const [operator, ...others] = [await connect(bench, 2), await connect(bench, 2), await connect(bench, 2)];
    const bids = new Bids();
    const handled: BidPlaced[] = [];
    const handle = async (event: BidPlaced) => {
      // A slow handler: the group is behind when the partitions change.
      if (handled.length % 8 === 0) await sleep(1);
      handled.push(event);
    };
    for (const broker of others) await broker.subscribe(BidPlaced, handle, { group: "group", concurrency: 8 });
    const heard: BidPlaced[] = [];
    others[1]!.addEventListener("BidPlaced", (event) => void heard.push(event));
    // A publish waits until its broker's listeners hear it; those of other brokers may come too early.
    await others[1]!.publish(bids.round());
    const followed: BidPlaced[] = [];
    const left = new AbortController();
    const following = (async () => {
      for await (const event of others[1]!.history(BidPlaced, { follow: true, signal: left.signal })) {
        if (followed.length % 20 === 0) await sleep(1);
        followed.push(event);
      }
    })().catch(() => {});
    let publishing = true;
    const run = async () => {
      while (publishing) {
        const [one, ...rest] = bids.round();
        await Promise.all([
          others[0]!.publish(one!),
          others[0]!.publish(rest.slice(0, 8)),
          others[0]!.publish(rest[8]!),
        ]);
        await Promise.all(rest.slice(9).map((event) => others[1]!.publish(event)));
        await sleep(5);
      }
    };
    const running = run();
    await operator!.repartition(BidPlaced, { partitions: 5 });
    // The new partitions are in use while older events are not settled.
    await until(async () => await usedPartitions(await bench.store(), 5) === 5, "all new partitions have events");
    publishing = false;
    await running;
    await until(() => handled.length >= bids.total, "all events are handled", 30_000);
    bids.assertAll(handled);
    bids.assertAll(await Array.fromAsync(operator!.history(BidPlaced)));
    await until(() => heard.length === bids.total, "all events are heard", 30_000);
    await until(() => followed.length === bids.total, "all events are followed", 30_000);
    left.abort();
    await following;
    bids.assertAll(heard);
    bids.assertAll(followed);
    const { length, groups } = await operator!.info(BidPlaced);
    assertEquals([length, groups.length], [bids.total, 1]);
  }),

  contract("48", "repartition() of a stream without partitions, and to fewer", async (bench) => {
    const before = await connect(bench);
    const bids = new Bids();
    await before.publish(bids.round());
    const handled: BidPlaced[] = [];
    const first = await before.subscribe(BidPlaced, (event) => void handled.push(event), { group: "group" });
    await first.idle();
    await first.close();
    await before.publish(bids.round());
    await before.repartition(BidPlaced, { partitions: 4 });
    // A broker that runs follows the store; one that starts needs the new number.
    await before.publish(bids.round());
    await assertRejects(async () => await (await connect(bench)).publish(bids.round()[0]!), StoreError, "4 partitions");
    for (const auctionId of SUBJECTS) bids.counts.set(auctionId, 3);
    const after = await connect(bench, 4);
    await after.subscribe(BidPlaced, (event) => void handled.push(event), { group: "group", concurrency: 4 });
    await until(() => handled.length === bids.total, "all events are handled");
    bids.assertAll(handled);
    await after.repartition(BidPlaced, { partitions: 1 });
    await after.publish(bids.round());
    await until(() => handled.length === bids.total, "the last events are handled");
    bids.assertAll(handled);
    bids.assertAll(await Array.fromAsync(after.history(BidPlaced)));
  }),

  contract("48", "consumers of a stream without partitions go on when it gets some", async (bench) => {
    const [operator, one, two] = [await connect(bench), await connect(bench), await connect(bench)];
    const bids = new Bids();
    await one.publish(bids.round());
    const handled: Record<string, BidPlaced[]> = { keyed: [], pulled: [], late: [], twoOfThem: [] };
    const handle = (group: string) => async (event: BidPlaced) => {
      // A slow handler: the group is behind when the partitions come.
      if (handled[group]!.length % 8 === 0) await sleep(2);
      handled[group]!.push(event);
    };
    const key = ({ subject }: BidPlaced) => subject!;
    const keyed = await two.subscribe(BidPlaced, handle("keyed"), { group: "keyed", concurrency: 8, key });
    const rebalanced: number[] = [];
    keyed.addEventListener("rebalance", ({ assigned }) => void rebalanced.push(assigned.length));
    for (const broker of [one, two]) {
      await broker.subscribe(BidPlaced, handle("twoOfThem"), { group: "twoOfThem", concurrency: 2 });
    }
    const deliveries = two.consume(BidPlaced, { group: "pulled", prefetch: 5 });
    const pulling = (async () => {
      for await (const delivery of deliveries) {
        handled.pulled!.push(delivery.event);
        delivery.ack();
      }
    })();
    const before = bids.total;
    await two.subscribe(BidPlaced, handle("late"), { group: "late", startFrom: "now", key });
    let publishing = true;
    const run = async () => {
      while (publishing) {
        const [first, ...rest] = bids.round();
        await Promise.all([one.publish(first!), one.publish(rest)]);
        await sleep(20);
      }
    };
    const running = run();
    await operator.repartition(BidPlaced, { partitions: 4 });
    await until(async () => await usedPartitions(await bench.store(), 4) === 4, "all partitions have events");
    publishing = false;
    await running;
    const counts = () => Object.values(handled).map(({ length }) => length);
    const expected = [bids.total, bids.total, bids.total - before, bids.total];
    await until(() => counts().every((count, nth) => count >= expected[nth]!), "all events are handled", 30_000);
    assertEquals(counts(), expected);
    bids.assertAll(handled.keyed!);
    bids.assertAll(handled.pulled!);
    const late = Map.groupBy(handled.late!, ({ subject }) => subject!);
    for (const events of late.values()) {
      assertEquals(
        events.map(({ detail }) => detail.n),
        events.map((_, nth) => nth + 2),
        "events after the first round",
      );
    }
    assertEquals(rebalanced, [4]);
    // The group goes on as that of any partitioned stream: consumers that come take their part.
    const after = await connect(bench, 4);
    await after.subscribe(BidPlaced, handle("keyed"), { group: "keyed", concurrency: 8 });
    await until(() => rebalanced.at(-1) === 2, "the new consumer has two of four partitions");
    await after.publish(bids.round());
    await until(() => handled.keyed!.length >= bids.total, "the last events are handled");
    bids.assertAll(handled.keyed!);
    await two.close();
    await pulling;
  }),

  contract("48", "a consumer from before the first partitions shares them if its group does", async (bench) => {
    const [operator, before] = [await connect(bench), await connect(bench)];
    const bids = new Bids();
    const handled: BidPlaced[] = [];
    const handle = (event: BidPlaced) => void handled.push(event);
    const subscription = await before.subscribe(BidPlaced, handle, { group: "group" });
    await before.publish(bids.round());
    await operator.repartition(BidPlaced, { partitions: 3 });
    const after = await connect(bench, 3);
    await after.subscribe(BidPlaced, handle, { group: "group", assignment: "shared" });
    await until(
      () => new Set(subscription.info().types.map(({ partition }) => partition)).size === 4,
      "the consumer reads the stream and its three partitions",
    );
    await after.publish(bids.round());
    await until(() => handled.length >= bids.total, "all events are handled");
    assertEquals(handled.length, bids.total);
  }),

  contract("48", "consumers that share all partitions read those that are added", async (bench) => {
    const [broker, other] = [await connect(bench, 2), await connect(bench, 2)];
    const bids = new Bids();
    const handled: BidPlaced[] = [];
    for (const each of [broker, other]) {
      const handle = (event: BidPlaced) => void handled.push(event);
      await each.subscribe(BidPlaced, handle, { group: "group", assignment: "shared" });
    }
    await broker.publish(bids.round());
    await broker.repartition(BidPlaced, { partitions: 5 });
    await broker.publish(bids.round());
    await until(() => handled.length === bids.total, "all events are handled");
    const handledOnce = new Set(handled.map(({ detail: { auctionId, n } }) => `${auctionId} ${n}`));
    assertEquals(handledOnce.size, bids.total);
  }),

  contract("18, 48", "a group that is rewound to before repartition() repeats each subject in order", async (bench) => {
    const broker = await connect(bench, 2);
    const bids = new Bids();
    for (let nth = 0; nth < 5; nth++) await broker.publish(bids.round());
    await broker.repartition(BidPlaced, { partitions: 3 });
    for (let nth = 0; nth < 5; nth++) await broker.publish(bids.round());
    const handled: BidPlaced[] = [];
    const subscription = await broker.subscribe(BidPlaced, (event) => void handled.push(event), {
      group: "group",
      concurrency: 4,
    });
    await until(() => handled.length === bids.total, "all events are handled");
    await subscription.idle();
    bids.assertAll(handled.splice(0));
    await broker.rewind(BidPlaced, { group: "group", to: "beginning" });
    await until(() => handled.length >= bids.total, "all events are handled again");
    await subscription.idle();
    bids.assertAll(handled);
  }),

  contract("48", "repartition() by three processes at once makes one change, with all groups", async (bench) => {
    const brokers = [await connect(bench, 2), await connect(bench, 2), await connect(bench, 2)];
    for (const group of ["a", "b", "c", "d"]) {
      await (await brokers[0]!.subscribe(BidPlaced, () => {}, { group })).close();
    }
    await Promise.all(brokers.map((broker) => broker.repartition(BidPlaced, { partitions: 12 })));
    const { partitions, groups } = await brokers[1]!.info(BidPlaced);
    assertEquals(partitions!.map(({ groups }) => groups.length), Array.from({ length: 12 }, () => 4));
    assertEquals(groups.map(({ consumers }) => consumers), [[], [], [], []]);
  }),

  contract("48", "repartition() that was interrupted goes on when it is called again", async (bench) => {
    const broker = await connect(bench, 2);
    const bids = new Bids();
    await broker.publish(bids.round());
    const state = (await bench.store()).state("events:Auction", "layout");
    const interrupted = new AbortController();
    const change = broker.repartition(BidPlaced, { partitions: 3, signal: interrupted.signal });
    change.catch(() => {});
    await until(async () => (await state.read()).text?.includes("next") === true, "the change is announced");
    interrupted.abort(new Error("interrupted"));
    await assertRejects(() => change, Error, "interrupted");
    const other = await assertRejects(() => broker.repartition(BidPlaced, { partitions: 4 }), StoreError);
    assertEquals(other.kind, "partitions-differ");
    assertStringIncludes(other.message, "3");
    await broker.publish(bids.round());
    await broker.repartition(BidPlaced, { partitions: 3 });
    await broker.repartition(BidPlaced, { partitions: 3 });
    await broker.publish(bids.round());
    bids.assertAll(await Array.fromAsync(broker.history(BidPlaced)));
  }),

  contract("48", "repartition() refuses what cannot be", async (bench) => {
    const broker = await bench.connect([BidPlaced, Plain]);
    for (const partitions of [0, -1, 1.5, 1_000_000, NaN]) {
      await assertRejects(() => broker.repartition(BidPlaced, { partitions }), RangeError, "partitions");
    }
    const error = await assertRejects(() => broker.repartition(BidPlaced, { partitions: 2 }), TypeError, "Plain");
    assertStringIncludes(error.message, "subject");
    await assertRejects(() => broker.repartition([], { partitions: 2 }), TypeError);
    // @ts-expect-error: no number is given
    await assertRejects(() => broker.repartition(BidPlaced, {}), RangeError, "partitions");
    assert((await Array.fromAsync(broker.history([BidPlaced, Plain]))).length === 0);
  }),
];
