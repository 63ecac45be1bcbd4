import { assert, assertEquals } from "@std/assert";
import type { EventBroker, PulledDelivery, Subscription } from "../../../broker/mod.ts";
import { defineEvent } from "../../../events/mod.ts";
import {
  assertOrder,
  assertSame,
  type BrokerContract,
  contract,
  Gate,
  Seen,
  settled,
  until,
} from "../../_broker_bench.ts";

// Larger than a block in which a store may keep several entries, so that each entry counts alone.
const LARGE = 6_000;
const MAX_BYTES = 600_000;
// A stream may exceed its bound by a tenth or 64 KiB, and by what is published until the trim has ended.
const SLACK = 200_000;

class Picture extends defineEvent("Picture")<{ n: number; pixels: string }> {}
class Kept extends defineEvent("Kept", { retention: { maxBytes: MAX_BYTES } })<{ n: number; pixels: string }> {}

function pictures(count: number, size: number): Picture[] {
  return Array.from({ length: count }, (_, n) => new Picture({ n, pixels: "x".repeat(size) }));
}

type Broker = EventBroker<typeof Kept | typeof Picture>;

async function bytesOf(broker: Broker): Promise<number> {
  const { bytes } = await broker.info(Kept);
  assert(typeof bytes === "number", `The stream takes ${bytes} bytes`);
  return bytes;
}

async function publishKept(broker: Broker, count: number): Promise<Kept[]> {
  const events = Array.from({ length: count }, (_, n) => new Kept({ n, pixels: "x".repeat(LARGE) }));
  for (let at = 0; at < count; at += 10) await broker.publish(events.slice(at, at + 10));
  return events;
}

/** How many deliveries a subscription holds that are not settled. */
function unsettled(subscription: Subscription): number {
  const { waiting, running } = subscription.info();
  return waiting + running;
}

export const bytes: readonly BrokerContract[] = [
  contract(
    "44",
    "publish() keeps a stream within maxBytes, by class or broker, and info() shows its bytes",
    async (bench) => {
      const broker = await bench.connect([Kept, Picture], { retention: { maxBytes: 2 * MAX_BYTES } });
      assertEquals((await broker.info(Kept)).bytes, 0);
      const events = await publishKept(broker, 400);
      await until(async () => await bytesOf(broker) <= MAX_BYTES + SLACK, "the class's bound is kept");
      const kept = await Array.fromAsync(broker.history(Kept));
      assertOrder(kept, events.slice(-kept.length));
      // Only what is beyond the bound is removed.
      assert(kept.length >= MAX_BYTES / LARGE * 0.8, `${kept.length} events were kept`);
      for (let at = 0; at < 40; at++) await broker.publish(pictures(10, LARGE));
      const pictureBytes = async () => (await broker.info(Picture)).bytes!;
      await until(async () => await pictureBytes() <= 2 * MAX_BYTES + SLACK, "the broker's bound is kept");
      assert(await pictureBytes() > MAX_BYTES + SLACK);
    },
  ),

  contract("44, 27", "maxBytes removes no event that a group needs, and info() names that group", async (bench) => {
    const broker: Broker = await bench.connect([Kept, Picture]);
    const gate = new Gate();
    const seen = new Seen<Kept>();
    await broker.subscribe(Kept, async (event) => {
      await gate.opened;
      seen.handler(event);
    }, { group: "slow", concurrency: 20, prefetch: 20 });
    const events = await publishKept(broker, 200);
    const { length, pinnedBy, bytes, first } = await broker.info(Kept);
    assertEquals([length, pinnedBy, first], [200, "slow", events[0]!.position]);
    assert(bytes! > 200 * LARGE);
    gate.open();
    await settled(broker, Kept, "slow");
    assertSame(seen.ids, events);
    await until(async () => await bytesOf(broker) <= MAX_BYTES + SLACK, "settled events are trimmed");
    assertEquals((await broker.info(Kept)).groups[0]!.lag, 0);
  }),

  contract("44, 31", "subscribe() holds no more bytes than prefetchBytes, and handles everything", async (bench) => {
    const broker = await bench.connect([Picture]);
    const events = pictures(60, 50_000);
    for (let at = 0; at < 60; at += 10) await broker.publish(events.slice(at, at + 10));
    const gate = new Gate();
    const seen = new Seen<Picture>();
    let most = 0;
    const subscription = await broker.subscribe(Picture, async (event) => {
      await gate.opened;
      most = Math.max(most, unsettled(subscription));
      seen.handler(event);
    }, { group: "group", prefetch: 50, prefetchBytes: 500_000 });
    await until(() => unsettled(subscription) >= 8, "the window is nearly full");
    // A claim that must not come would be answered before these questions.
    for (let asked = 0; asked < 5; asked++) await broker.info(Picture);
    const held = unsettled(subscription);
    assert(held <= 10, `${held} events are held`);
    gate.open();
    await settled(broker, Picture);
    assert(most <= 10, `${most} events were held`);
    assertOrder(seen.ids, events);
  }),

  contract(
    "44, 31",
    "subscribe() claims fewer events when they become large, and more when they are small",
    async (bench) => {
      const broker = await bench.connect([Picture]);
      const sizes = [...Array(40).fill(100_000), ...Array(400).fill(10), ...Array(40).fill(100_000)] as number[];
      const events = sizes.map((size, n) => new Picture({ n, pixels: "x".repeat(size) }));
      for (let at = 0; at < events.length; at += 10) await broker.publish(events.slice(at, at + 10));
      const seen = new Seen<Picture>();
      const held: number[] = [];
      const subscription = await broker.subscribe(Picture, async (event) => {
        held.push(unsettled(subscription));
        // The claims of the next events are sent meanwhile.
        await Promise.resolve();
        seen.handler(event);
      }, { group: "group", prefetch: 100, prefetchBytes: 400_000 });
      await settled(broker, Picture);
      assertOrder(seen.ids, events);
      const most = Math.max(...held.slice(0, 30));
      assert(most <= 5, `${most} large events were held`);
      assert(held.slice(40, 440).some((count) => count > 20), `${held.slice(40, 440)} small events were held`);
    },
  ),

  contract(
    "44",
    "subscribe() handles events that are larger than prefetchBytes, one at a time and in order",
    async (bench) => {
      const broker = await bench.connect([Picture]);
      const events = pictures(30, 1_000);
      await broker.publish(events);
      const seen = new Seen<Picture>();
      let most = 0;
      const subscription = await broker.subscribe(Picture, (event) => {
        most = Math.max(most, unsettled(subscription));
        seen.handler(event);
      }, { group: "group", concurrency: 4, prefetchBytes: 1 });
      await settled(broker, Picture);
      assertOrder(seen.ids, events);
      assertEquals(most, 1);
    },
  ),

  contract("44", "info() reports a consumer stalled when one key fills its prefetchBytes", async (bench) => {
    const broker = await bench.connect([Picture]);
    await broker.publish(pictures(30, 10_000));
    const gate = new Gate();
    const options = { group: "group", concurrency: 4, prefetchBytes: 100_000, key: () => "same" };
    const subscription = await broker.subscribe(Picture, () => gate.opened, options);
    await until(
      async () => (await broker.info(Picture)).groups[0]!.consumers[0]?.stalled === true,
      "the consumer is stalled",
    );
    const held = unsettled(subscription);
    assert(held <= 11, `${held} events are held`);
    gate.open();
    await settled(broker, Picture);
  }),

  contract("44, 31", "consume() holds no more unsettled bytes than prefetchBytes", async (bench) => {
    const broker = await bench.connect([Picture]);
    await broker.publish(pictures(10, 50_000));
    await broker.publish(pictures(10, 50_000));
    const pulled = broker.consume(Picture, { group: "group", prefetchBytes: 200_000 });
    const first: PulledDelivery<Picture>[] = [];
    // The fourth event leaves no room for a fifth one.
    while (first.length < 3) first.push((await pulled.next()).value!);
    for (let asked = 0; asked < 5; asked++) await broker.info(Picture);
    const [group] = (await broker.info(Picture)).groups;
    assert(group!.pending <= 5, `${group!.pending} events are held`);
    for (const delivery of first) await delivery.ack();
    for (let left = 17; left > 0; left--) await (await pulled.next()).value!.ack();
    await broker.idle({ group: "group" });
    await pulled.return();
  }),
];
