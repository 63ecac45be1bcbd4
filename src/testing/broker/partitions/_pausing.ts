import { assert, assertEquals, assertRejects } from "@std/assert";
import type { DomainEvent } from "../../../events/mod.ts";
import type { PauseEvent, ResumeEvent, Subscription } from "../../../broker/mod.ts";
import { StoreError } from "../../../store/mod.ts";
import {
  type BrokerBench,
  type BrokerContract,
  contract,
  groupOf,
  settled,
  sleep,
  told,
  until,
} from "../../_broker_bench.ts";
import {
  assertOrderOfSubjects,
  BidPlaced,
  bids,
  bidsInEach,
  connectTo,
  inPartitions,
  numberOf,
  PARTITIONS,
  streamOf,
} from "./_bids.ts";

const group = "group";
const WHILE = 150;

/** The partitions that subscriptions have at the moment, all of them together. */
function partitionsOf(...subscriptions: readonly Subscription[]): number[] {
  return subscriptions.flatMap((subscription) => subscription.info().types.flatMap(({ partition }) => partition ?? []))
    .sort((a, b) => a - b);
}

const ALL = Array.from({ length: PARTITIONS }, (_, nth) => nth);

async function allIn(...subscriptions: readonly Subscription[]): Promise<void> {
  await until(
    () =>
      partitionsOf(...subscriptions).join() === ALL.join() &&
      subscriptions.every((one) => partitionsOf(one).length > 0),
    "each partition has a consumer",
  );
}

const isPausedIn = async (bench: BrokerBench): Promise<boolean[]> => {
  const store = await bench.store();
  return await Promise.all(ALL.map(async (partition) => {
    const { text } = await store.admin(streamOf(partition)).control(group).read();
    return text !== undefined;
  }));
};

/** Contracts of paused groups of streams with partitions. */
export const pausingPartitions: readonly BrokerContract[] = [
  contract("51, 47", "pause() pauses a group in all partitions, tells it once, and keeps the order", async (bench) => {
    for (const assignment of ["exclusive", "shared"] as const) {
      const group = assignment;
      const broker = await connectTo(bench);
      const handled: DomainEvent[] = [];
      const subscription = await broker.subscribe(BidPlaced, async (event) => {
        await sleep(1);
        handled.push(event);
      }, { group, concurrency: 4, assignment, key: ({ detail }) => detail.auctionId, startFrom: "now" });
      await allIn(subscription);
      const pauses = told<PauseEvent>(subscription, "pause");
      const resumes = told<ResumeEvent>(subscription, "resume");
      await broker.publish(bids(100));
      await until(() => handled.length > 10, "some events are handled");
      assertEquals(await broker.pause(BidPlaced, { group, reason: "why" }), true);
      assertEquals(await broker.pause(BidPlaced, { group }), false);
      await until(() => subscription.info().held === 0, "what waited is released, and what ran is settled");
      const before = handled.length;
      await broker.publish(bids(60, { from: 100 }));
      await sleep(WHILE);
      assertEquals(handled.length, before);
      const { paused, lag, pending } = await groupOf(broker, BidPlaced, group);
      assertEquals([paused?.reason, lag + pending], ["why", 160 - before]);
      const { partitions } = await broker.info(BidPlaced);
      for (const part of partitions!) {
        assertEquals(part.groups.find(({ name }) => name === group)?.paused?.reason, "why");
      }
      assertEquals(pauses.map(({ eventType, scope }) => [eventType, scope]), [["Auction", "group"]]);
      assertEquals(await broker.resume(BidPlaced, { group }), true);
      await settled(broker, BidPlaced, group);
      assertOrderOfSubjects(handled, 160);
      assertEquals(resumes.length, 1);
      await broker.close();
    }
  }),

  contract(
    "51, 45",
    "partitions move while the group is paused, and nothing starts before it is resumed",
    async (bench) => {
      const [one, two] = [await connectTo(bench), await connectTo(bench)];
      const handled: DomainEvent[] = [];
      const handle = (event: DomainEvent) => void handled.push(event);
      const first = await one.subscribe(BidPlaced, handle, { group, lease: 600 });
      await allIn(first);
      await one.pause(BidPlaced, { group });
      await one.publish(bids(80));
      const second = await two.subscribe(BidPlaced, handle, { group, lease: 600 });
      const pauses = told<PauseEvent>(second, "pause");
      await allIn(first, second);
      await until(() => pauses.length === 1, "the new consumer says that it is paused");
      await first.close();
      await allIn(second);
      await sleep(WHILE);
      assertEquals([handled.length, pauses.length], [0, 1]);
      await two.resume(BidPlaced, { group });
      await settled(two, BidPlaced);
      assertOrderOfSubjects(handled, 80);
    },
  ),

  contract("51, 48", "a paused group stays paused in partitions that are added", async (bench) => {
    const broker = await bench.connect([BidPlaced], inPartitions(2));
    const handled: DomainEvent[] = [];
    await broker.subscribe(BidPlaced, (event) => void handled.push(event), { group });
    await broker.publish(bids(20));
    await settled(broker, BidPlaced);
    await broker.pause(BidPlaced, { group });
    await broker.repartition(BidPlaced, { partitions: 5 });
    await broker.publish(bids(40, { from: 20 }));
    const store = await bench.store();
    await until(async () => {
      const infos = await Promise.all([2, 3, 4].map((partition) => store.admin(streamOf(partition)).info()));
      return infos.every(({ groups }) => groups[0]?.control !== undefined);
    }, "the group is paused in the new partitions");
    await sleep(WHILE);
    assertEquals(handled.length, 20);
    await broker.resume(BidPlaced, { group });
    await settled(broker, BidPlaced);
    assertOrderOfSubjects(handled, 60);
  }, "store"),

  contract("51, 47", "pause() that fails in some partitions says so, and a second call completes it", async (bench) => {
    let refuse = true;
    const broker = await bench.over((inner) => {
      const admin = inner.admin.bind(inner);
      inner.admin = (stream) => {
        const real = admin(stream);
        if (stream !== streamOf(2)) return real;
        const control = real.control.bind(real);
        real.control = (name) => {
          const state = control(name);
          const write = async (text: string | undefined, version: number) => {
            if (refuse) throw new StoreError("transient", "the server is loading");
            return await state.write(text, version);
          };
          return { read: () => state.read(), write };
        };
        return real;
      };
      return inner;
    }, { events: [BidPlaced], ...inPartitions(PARTITIONS) });
    const handled: DomainEvent[] = [];
    await broker.subscribe(BidPlaced, (event) => void handled.push(event), { group });
    await assertRejects(() => broker.pause(BidPlaced, { group: "none" }), RangeError, 'Cannot find group "none"');
    await assertRejects(
      () => broker.pause(BidPlaced, { group }),
      AggregateError,
      `Cannot pause group "group" of events:Auction in 1 of ${PARTITIONS} partitions`,
    );
    assertEquals(await isPausedIn(bench), [true, true, false, true]);
    assert((await groupOf(broker, BidPlaced)).paused);
    await broker.publish(bidsInEach());
    await until(() => handled.length === 1, "the partition that is not paused goes on");
    refuse = false;
    assertEquals(await broker.pause(BidPlaced, { group }), true);
    assertEquals(await isPausedIn(bench), [true, true, true, true]);
    await broker.publish(bidsInEach());
    await sleep(WHILE);
    assertEquals(handled.map(numberOf), [2]);
    await broker.resume(BidPlaced, { group });
    await settled(broker, BidPlaced);
    assertEquals(handled.length, 2 * PARTITIONS);
  }, "store"),

  contract(
    "52, 47",
    "rate limits the starts of all partitions and brokers together, by subject in order",
    async (bench) => {
      const rate = { limit: 100, per: 1_000 };
      const handled: DomainEvent[] = [];
      const starts: number[] = [];
      for (const broker of [await connectTo(bench), await connectTo(bench)]) {
        await broker.subscribe(BidPlaced, (event) => {
          starts.push(performance.now());
          handled.push(event);
        }, { group, concurrency: 4, rate, lease: 600 });
      }
      const broker = await connectTo(bench);
      await broker.publish(bids(60));
      await settled(broker, BidPlaced);
      assertOrderOfSubjects(handled, 60);
      const took = starts.at(-1)! - starts[0]!;
      assert(took > 59 * 10 - 60, `60 starts took ${took} ms`);
    },
  ),

  contract("51, 47", "pauseAfter counts the failures of all partitions, and pauses all of them", async (bench) => {
    const broker = await connectTo(bench);
    let down = true;
    const subscription = await broker.subscribe(BidPlaced, () => {
      if (down) throw new Error("down");
    }, { group, retry: { minTimeout: 5 }, pauseAfter: { failures: PARTITIONS, for: 60_000 } });
    const pauses = told<PauseEvent>(subscription, "pause");
    await broker.publish(bidsInEach());
    await until(() => pauses.length === 1, "the group is paused");
    await until(async () => (await isPausedIn(bench)).every(Boolean), "it is paused in all partitions");
    down = false;
    await broker.resume(BidPlaced, { group });
    await settled(broker, BidPlaced);
  }, "store"),
];
