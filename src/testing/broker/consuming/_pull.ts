import { assert, assertEquals, assertRejects } from "@std/assert";
import { LeaseLostError, PermanentError, type PulledDelivery } from "../../../broker/mod.ts";
import {
  assertOrder,
  assertSame,
  type BrokerContract,
  contract,
  Counted,
  counted,
  groupOf,
  LEASE,
  lettersOf,
  Other,
  settled,
  sleep,
  SOON,
  until,
  within,
} from "../../_broker_bench.ts";

export const pulling: readonly BrokerContract[] = [
  contract("1", "consume() yields deliveries to be acknowledged one by one", async (bench) => {
    const broker = await bench.broker();
    const events = counted(10);
    await broker.publish(events);
    const got: Counted[] = [];
    for await (const delivery of broker.consume(Counted, { group: "group", consumer: "me" })) {
      const { event, position, group, attempt, recovered, consumer, signal } = delivery;
      assertEquals([position, group, attempt, recovered], [event.position!, "group", 1, 0]);
      assert(consumer.startsWith("me.") && !signal.aborted);
      got.push(event);
      await delivery.ack();
      await assertRejects(() => delivery.ack(), TypeError, "already settled");
      await assertRejects(() => delivery.nack(), TypeError, "already settled");
      if (got.length === 10) break;
    }
    assertOrder(got, events);
    const { pending, lag, consumers } = await groupOf(broker, Counted);
    assertEquals({ pending, lag, consumers }, { pending: 0, lag: 0, consumers: [] });
  }),

  contract("4, 22", "consume() counts a nack and dead-letters the event after maxAttempts", async (bench) => {
    const broker = await bench.broker();
    const events = counted(4);
    await broker.publish(events);
    const attempts: [number, number][] = [];
    const retry = { ...SOON, maxAttempts: 3 };
    for await (const delivery of broker.consume(Counted, { group: "group", retry })) {
      const { event: { detail: { n } }, attempt } = delivery;
      attempts.push([n, attempt]);
      if (n === 0) await delivery.nack();
      else if (n === 1) await delivery.nack(new PermanentError("never"));
      else if (n === 2 && attempt === 1) await delivery.nack(new Error("again"));
      else await delivery.ack();
      if (attempts.length === 7) break;
    }
    assertEquals(attempts.toSorted(), [[0, 1], [0, 2], [0, 3], [1, 1], [2, 1], [2, 2], [3, 1]]);
    const letters = await lettersOf(broker, Counted);
    assertSame(letters.map(({ event }) => event!), events.slice(0, 2));
    assertEquals(letters.map(({ reason }) => reason).toSorted(), ["attempts", "permanent"]);
    assertEquals((await groupOf(broker, Counted)).pending, 0);
  }),

  contract("21, 22", "nack() retries after its delay, and counts the attempt", async (bench) => {
    const broker = await bench.broker();
    await broker.publish(counted(1));
    const attempts: [number, number][] = [];
    // The policy alone would retry long after the test.
    const retry = { minTimeout: 3_600_000, maxTimeout: 3_600_000, jitter: 0, maxAttempts: 3 };
    for await (const delivery of broker.consume(Counted, { group: "group", retry })) {
      attempts.push([delivery.attempt, performance.now()]);
      await assertRejects(() => delivery.nack(new Error("no"), { delay: -1 }), RangeError, "delay (ms)");
      await delivery.nack(new Error("again"), { delay: 40 });
      if (attempts.length === 3) break;
    }
    assertEquals(attempts.map(([attempt]) => attempt), [1, 2, 3]);
    // A timer may fire slightly early as measured by another clock.
    assert(attempts[1]![1] - attempts[0]![1] >= 35 && attempts[2]![1] - attempts[1]![1] >= 35, `${attempts}`);
    assertEquals((await lettersOf(broker, Counted)).map(({ reason }) => reason), ["attempts"]);
  }),

  contract("6, 21", "release() gives a delivery back uncounted, at once or after its delay", async (bench) => {
    const broker = await bench.broker();
    await broker.publish(counted(1));
    const attempts: [number, number][] = [];
    for await (const delivery of broker.consume(Counted, { group: "group", retry: { maxAttempts: 1 } })) {
      attempts.push([delivery.attempt, performance.now()]);
      if (attempts.length === 3) {
        await delivery.ack();
        break;
      }
      await assertRejects(() => delivery.release({ delay: Number.NaN }), RangeError, "delay (ms)");
      await delivery.release(attempts.length === 1 ? {} : { delay: 40 });
      await assertRejects(() => delivery.ack(), TypeError, "already settled or released");
    }
    assertEquals(attempts.map(([attempt]) => attempt), [1, 1, 1]);
    assert(attempts[2]![1] - attempts[1]![1] >= 35, `${attempts}`);
    assertEquals((await groupOf(broker, Counted)).pending, 0);
  }),

  contract("13", "consume() releases unsettled deliveries when the loop is left", async (bench) => {
    const broker = await bench.broker();
    const events = counted(5);
    await broker.publish(events);
    for await (const delivery of broker.consume(Counted, { group: "group" })) {
      if (delivery.event.detail.n === 0) await delivery.ack();
      else break;
    }
    await assertRejects(async () => {
      for await (const delivery of broker.consume(Counted, { group: "group" })) {
        assertEquals(delivery.event.detail.n, 1);
        throw new RangeError("out of the loop");
      }
    }, RangeError);
    const { pending, consumers } = await groupOf(broker, Counted);
    assertEquals({ pending, consumers }, { pending: 4, consumers: [] });
    const got: [string, number][] = [];
    for await (const delivery of broker.consume(Counted, { group: "group" })) {
      got.push([delivery.event.id, delivery.attempt]);
      await delivery.ack();
      if (got.length === 4) break;
    }
    assertEquals(got, events.slice(1).map(({ id }) => [id, 1]));
  }),

  contract("13", "consume() releases a delivery that is disposed of unsettled", async (bench) => {
    const broker = await bench.broker();
    const events = counted(2);
    await broker.publish(events);
    const got: [string, number][] = [];
    for await (const delivery of broker.consume(Counted, { group: "group", prefetch: 1 })) {
      got.push([delivery.event.id, delivery.attempt]);
      if (got.length > 1) await delivery.ack();
      // Disposing of a settled delivery does nothing.
      await delivery[Symbol.asyncDispose]();
      if (got.length === 3) break;
    }
    const [first, second] = events.map(({ id }) => id);
    assertEquals(got, [[first!, 1], [first!, 1], [second!, 1]]);
    assertEquals((await groupOf(broker, Counted)).pending, 0);
  }),

  contract("31", "consume() holds at most prefetch unsettled deliveries", async (bench) => {
    const broker = await bench.broker();
    await broker.publish(counted(20));
    const held: PulledDelivery<Counted>[] = [];
    const pulled = broker.consume(Counted, { group: "group", prefetch: 3 });
    for (let i = 0; i < 3; i++) held.push((await pulled.next()).value!);
    const next = pulled.next();
    assertEquals(await Promise.race([next, sleep(30)]), undefined);
    assertEquals((await groupOf(broker, Counted)).pending, 3);
    for (const delivery of held) await delivery.ack();
    const { value } = await within(next, "the fourth");
    assertEquals(value!.event.detail.n, 3);
    await pulled.return();
    assertEquals((await groupOf(broker, Counted)).pending, 17 - (await groupOf(broker, Counted)).lag);
  }),

  contract("13", "consume() ends at once when its signal aborts while it waits", async (bench) => {
    const broker = await bench.broker();
    const controller = new AbortController();
    const pulled = broker.consume(Counted, { group: "group", signal: controller.signal });
    const next = pulled.next();
    assertEquals(await Promise.race([next, sleep(20)]), undefined);
    const isThere = async () => (await broker.info(Counted)).groups.some(({ consumers }) => consumers.length > 0);
    await until(isThere, "it has joined its group");
    const before = performance.now();
    controller.abort();
    assertEquals((await within(next, "the end")).done, true);
    // Much earlier than after the default `drainTimeout`.
    assert(performance.now() - before < 5_000);
    assertEquals((await groupOf(broker, Counted)).consumers, []);
  }),

  contract("13, 32", "consume() ends when the broker closes, and pulled deliveries can be settled", async (bench) => {
    const observer = await bench.broker();
    const broker = await bench.broker();
    const events = counted(3);
    await observer.publish(events);
    const got: Counted[] = [];
    for await (const delivery of broker.consume(Counted, { group: "group" })) {
      got.push(delivery.event);
      void broker.close();
      await sleep(20);
      await delivery.ack();
    }
    assertOrder(got, events.slice(0, 1));
    const { pending, lag, consumers } = await groupOf(observer, Counted);
    assertEquals({ unsettled: pending + lag, consumers }, { unsettled: 2, consumers: [] });
  }),

  contract("12, 29", "consume() reuses the slot of a lost delivery", async (bench) => {
    const broker = await bench.broker();
    const [event] = counted(1);
    await broker.publish(event!);
    const pulled = broker.consume(Counted, { group: "group", prefetch: 1, lease: LEASE });
    const { value: first } = await pulled.next();
    assert(first);
    await broker.rewind(Counted, { group: "group", to: "beginning" });
    const { value: second } = await within(pulled.next(), "the event to come again");
    assertEquals(second!.event.id, event!.id);
    assert(first.signal.aborted);
    await assertRejects(() => first.ack(), LeaseLostError);
    await second!.ack();
    await pulled.return();
    assertEquals((await groupOf(broker, Counted)).pending, 0);
  }),

  contract("3", "consume() pulls several types", async (bench) => {
    const broker = await bench.connect([Counted, Other]);
    const events = [...counted(5), ...Array.from({ length: 5 }, (_, n) => new Other({ n }))];
    await Promise.all(events.map((event) => broker.publish(event)));
    const got: (Counted | Other)[] = [];
    for await (const delivery of broker.consume([Counted, Other], { group: "group", prefetch: 2 })) {
      got.push(delivery.event);
      await delivery.ack();
      if (got.length === 10) break;
    }
    assertSame(got, events);
    await settled(broker, Counted);
    await settled(broker, Other);
  }),
];
