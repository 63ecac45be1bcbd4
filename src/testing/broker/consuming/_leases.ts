import { assert, assertEquals, assertRejects } from "@std/assert";
import { type DeadLetterEvent, type DeliveryEvent, LeaseLostError } from "../../../broker/mod.ts";
import type { ClaimedRecord, EventStore, GroupMember } from "../../../store/mod.ts";
import {
  assertOrder,
  assertSame,
  type BrokerContract,
  contract,
  Counted,
  counted,
  Gate,
  groupOf,
  LEASE,
  lettersOf,
  positionsOf,
  Seen,
  settled,
  sleep,
  SOON,
  STREAM,
  told,
  until,
  within,
} from "../../_broker_bench.ts";

/** Simulates a process frozen for longer than its lease: another consumer takes its deliveries. */
async function takeOver(
  store: EventStore,
  clock: { advance(ms: number): void },
): Promise<{ taker: GroupMember; records: readonly ClaimedRecord[] }> {
  const taker = await store.member(STREAM, "group", { consumer: "taker", lease: 3_600_000, startFrom: "beginning" });
  let records: readonly ClaimedRecord[] = [];
  // The process is not really frozen: it may renew before the other consumer claims.
  await until(async () => {
    clock.advance(LEASE + 50);
    ({ records } = await taker.claim({ limit: 1, signal: AbortSignal.timeout(200) }));
    return records.length === 1;
  }, "another consumer has claimed the delivery");
  return { taker, records };
}

export const leasing: readonly BrokerContract[] = [
  contract("17", "subscribe() takes over a dead consumer's deliveries and counts no attempt", async (bench) => {
    const broker = await bench.broker();
    const events = counted(20);
    await broker.publish(events);
    await bench.die(await bench.store(), 12);
    const got: [number, number][] = [];
    const seen = new Seen<Counted>();
    const recovered: DeliveryEvent[] = [];
    const gate = new Gate();
    const subscription = await broker.subscribe(Counted, async (event, delivery) => {
      await gate.opened;
      seen.handler(event);
      got.push([delivery.attempt, delivery.recovered]);
    }, { group: "group", prefetch: 20 });
    subscription.addEventListener("recovered", (event) => recovered.push(event));
    gate.open();
    await settled(broker, Counted);
    assertOrder(seen.ids, events);
    assertEquals(got, events.map((_, i) => [1, i < 12 ? 1 : 0]));
    assertEquals((await groupOf(broker, Counted)).consumers.length, 1);
  }, "store"),

  contract(
    "17",
    "subscribe() interleaves new events with a large recovered backlog, unless a key orders them",
    async (bench) => {
      const broker = await bench.broker();
      const events = counted(2_500);
      for (let from = 0; from < 2_500; from += 500) await broker.publish(events.slice(from, from + 500));
      for (const group of ["turns", "order"]) await bench.die(await bench.store(), 2_500, { group });
      const late = counted(1, 2_500);
      await broker.publish(late);
      const [turns, order] = [new Seen<Counted>(), new Seen<Counted>()];
      await broker.subscribe(Counted, turns.handler, { group: "turns" });
      await broker.subscribe(Counted, order.handler, { group: "order", key: () => "" });
      await settled(broker, Counted, "turns");
      await settled(broker, Counted, "order");
      assertOrder(order.ids, [...events, ...late]);
      assertSame(turns.ids, [...events, ...late]);
      // As many recovered events as the default prefetch and one claim may come first.
      const at = turns.ids.indexOf(late[0]!.id);
      assert(at >= 1_000 && at < 2_000, `The new event came after ${at} recovered ones`);
      assertOrder(turns.ids.filter((id) => id !== late[0]!.id), events);
    },
    "store",
  ),

  contract("17", "subscribe() recovers deliveries while it runs, and reports them as recovered", async (bench) => {
    const broker = await bench.broker();
    const seen = new Seen<Counted>();
    const store = await bench.store();
    const events = counted(5);
    await broker.publish(events);
    const mortal = await store.member(STREAM, "group", { consumer: "mortal", lease: LEASE, startFrom: "beginning" });
    const claimed = performance.now();
    const { records } = await mortal.claim({ limit: 3, signal: AbortSignal.timeout(5_000) });
    const subscription = await broker.subscribe(Counted, seen.handler, { group: "group" });
    const recovered = told<DeliveryEvent>(subscription, "recovered");
    await seen.count(2);
    // On a busy machine, the lease may have run out by now.
    if (performance.now() - claimed < LEASE - 5) assertSame(seen.ids, events.slice(3));
    await settled(broker, Counted);
    assertSame(seen.ids, events);
    assertEquals(
      recovered.map(({ eventType, position }) => [eventType, position]),
      positionsOf(records).map((position) => ["Counted", position]),
    );
  }, "store"),

  contract("18", "subscribe() keeps a delivery whose handler takes longer than three leases", async (bench) => {
    const lease = 100;
    const renewals = bench.watchRenewals(lease);
    const open = () => bench.over((store) => renewals.over(store), { events: [Counted] });
    const brokers = [await open(), await open()];
    const seen = new Seen<Counted>();
    const ends: [number, boolean][] = [];
    const lost: Event[][] = [];
    for (const broker of brokers) {
      const subscription = await broker.subscribe(Counted, async (event, { signal, recovered }) => {
        const isRepeated = seen.ids.includes(event.id);
        seen.handler(event);
        // On a busy machine, the delivery may have been lost.
        if (isRepeated) return;
        // Ten renewals of each consumer take longer than three leases.
        const enough = renewals.count + 20;
        await until(() => renewals.count >= enough, "more than three leases have passed");
        ends.push([recovered, signal.aborted]);
      }, { group: "group", lease, prefetch: 1 });
      lost.push(told(subscription, "leaselost"));
    }
    const events = counted(2);
    await brokers[0]!.publish(events);
    await settled(brokers[0]!, Counted);
    if (renewals.inTime()) {
      assertSame(seen.ids, events);
      assertEquals([ends, lost], [[[0, false], [0, false]], [[], []]]);
    } else assertSame([...new Set(seen.ids)], events);
  }, "store"),

  contract("20", "subscribe() takes nothing from a slow consumer with a longer lease", async (bench) => {
    const [slow, hasty] = [await bench.broker(), await bench.broker()];
    const [mine, theirs] = [new Seen<Counted>(), new Seen<Counted>()];
    const gate = new Gate();
    const events = counted(6);
    await slow.publish(events);
    const subscription = await slow.subscribe(Counted, async (event) => {
      mine.handler(event);
      await gate.opened;
    }, { group: "group", lease: 60_000, prefetch: 3 });
    const lost = told(subscription, "leaselost");
    await mine.count(1);
    await hasty.subscribe(Counted, theirs.handler, { group: "group", lease: 100 });
    await theirs.count(3);
    await sleep(150);
    // Claiming this event, the hasty consumer would take overdue deliveries first.
    const [last] = counted(1, 6);
    await slow.publish(last!);
    await theirs.count(4);
    assertOrder(theirs.ids, [...events.slice(3), last!]);
    gate.open();
    await settled(slow, Counted);
    assertSame([...mine.ids, ...theirs.ids], [...events, last!]);
    assertEquals(lost, []);
  }),

  contract(
    "12, 19",
    "delivery.signal aborts when another consumer took the delivery, and a late settle is refused",
    async (bench) => {
      const broker = await bench.broker();
      const store = await bench.store();
      const gate = new Gate();
      const events = counted(1);
      await broker.publish(events);
      const reasons: unknown[] = [];
      const running = new Gate();
      const subscription = await broker.subscribe(Counted, async (_event, { signal }) => {
        signal.addEventListener("abort", () => reasons.push(signal.reason));
        running.open();
        await gate.opened;
        throw new Error("too late to count");
      }, { group: "group", lease: LEASE, retry: { maxAttempts: 1 } });
      const lost = told<DeliveryEvent>(subscription, "leaselost");
      await running.opened;
      const { taker, records } = await takeOver(store, bench.clock);
      assertEquals([records[0]?.position, records[0]?.recovered], [events[0]!.position, 1]);
      await until(() => lost.length > 0, "the subscription reports the loss");
      assert(reasons[0] instanceof LeaseLostError);
      assertEquals([reasons.length, lost.map(({ position }) => position)], [1, [events[0]!.position!]]);
      gate.open();
      await subscription.close();
      const { deadLetters, pending } = await groupOf(broker, Counted);
      assertEquals({ deadLetters, pending }, { deadLetters: 0, pending: 1 });
      const outcomes = records.map(({ position, fence }) => ({ kind: "ack" as const, position, fence }));
      assertEquals(await taker.settle(outcomes), []);
      await taker.leave();
    },
    "store",
    "clock",
  ),

  contract(
    "19",
    "subscribe() ignores a late result when the same consumer has claimed the event again",
    async (bench) => {
      const broker = await bench.broker();
      const store = await bench.store();
      const gate = new Gate();
      const [event] = counted(1);
      await broker.publish(event!);
      const calls: [number, number][] = [];
      const subscription = await broker.subscribe(Counted, async (_event, { attempt, recovered }) => {
        calls.push([attempt, recovered]);
        if (calls.length > 1) return;
        await gate.opened;
        throw new Error("too late to count");
      }, { group: "group", lease: LEASE, concurrency: 2, retry: { maxAttempts: 1 } });
      const lost = told(subscription, "leaselost");
      await until(() => calls.length === 1, "the handler runs");
      const { taker } = await takeOver(store, bench.clock);
      await until(() => lost.length > 0, "the subscription reports the loss");
      await taker.leave();
      await until(() => calls.length === 2, "the event was claimed again");
      gate.open();
      await settled(broker, Counted);
      assertEquals(calls, [[1, 0], [1, 1]]);
      assertEquals((await groupOf(broker, Counted)).deadLetters, 0);
    },
    "store",
    "clock",
  ),

  contract("23", "subscribe() runs deliveries one at a time after their consumers died twice", async (bench) => {
    const broker = await bench.broker();
    const store = await bench.store();
    const events = counted(20);
    await broker.publish(events);
    for (let death = 0; death < 2; death++) await bench.die(store, 20);
    let running = 0;
    let most = 0;
    const seen = new Seen<Counted>();
    await broker.subscribe(Counted, async (event, { attempt, recovered }) => {
      assertEquals([attempt, recovered], [1, event.detail.n < 20 ? 2 : 0]);
      most = Math.max(most, ++running);
      await sleep(1);
      seen.handler(event);
      running--;
    }, { group: "group", concurrency: 10 });
    await settled(broker, Counted);
    assertEquals(most, 1);
    assertSame(seen.ids, events);
    const more = counted(20, 20);
    await broker.publish(more);
    await settled(broker, Counted);
    assertSame(seen.ids, [...events, ...more]);
    assert(most > 1, "Later events must run concurrently again");
  }, "store"),

  contract(
    "23",
    "subscribe() dead-letters an event that kills its consumers, and no other event",
    async (bench) => {
      const broker = await bench.broker();
      const store = await bench.store();
      const events = counted(100);
      await broker.publish(events);
      const killer = events[7]!;
      for (let death = 0; death < 2; death++) await bench.die(store, 100);
      // Each consumer runs the killing event exclusively, and dies of it.
      for (let death = 0; death < 3; death++) {
        await bench.die(store, 100, {
          outcomes: (taken) => {
            return taken.filter(({ position }) => position === killer.position)
              .map(({ position, fence }) => ({ kind: "isolate", position, fence }));
          },
        });
      }
      const seen = new Seen<Counted>();
      const gate = new Gate();
      const subscription = await broker.subscribe(Counted, async (event) => {
        await gate.opened;
        seen.handler(event);
      }, { group: "group", concurrency: 10, retry: { ...SOON, maxAttempts: 3 } });
      const dead = told<DeadLetterEvent>(subscription, "deadletter");
      gate.open();
      await settled(broker, Counted);
      assertSame(seen.ids, events.filter((event) => event !== killer));
      const letters = await lettersOf(broker, Counted);
      assertEquals(letters.map(({ position, reason, attempts }) => [position, reason, attempts]), [
        [killer.position!, "died", 3],
      ]);
      assertEquals(letters[0]!.event!.id, killer.id);
      assert(dead.length <= 1);
    },
    "store",
  ),

  contract("20, 28", "subscribe() ends the wait for a dead consumer by its signal and by close()", async (bench) => {
    const broker = await bench.broker();
    const store = await bench.store();
    await store.member(STREAM, "group", { consumer: "me", lease: 60_000, startFrom: "beginning" });
    const waits = told(broker, "waiting");
    const controller = new AbortController();
    const options = { group: "group", consumer: "me" };
    const aborted = broker.subscribe(Counted, () => {}, { ...options, signal: controller.signal });
    await until(() => waits.length === 1, "subscribe() waits");
    const reason = new Error("enough");
    controller.abort(reason);
    assert(await within(assertRejects(() => aborted), "the end") === reason);
    const closed = broker.subscribe(Counted, () => {}, options);
    await until(() => waits.length === 2, "subscribe() waits again");
    const ended = assertRejects(() => closed, Error, "closed");
    await broker.close();
    await within(ended, "the end");
  }, "store"),
];
