import { assert, assertEquals, assertRejects } from "@std/assert";
import type { DeadLetterEvent, DeliveryEvent } from "../../../broker/mod.ts";
import {
  type BrokerContract,
  contract,
  Counted,
  counted,
  Gate,
  groupOf,
  lettersOf,
  Seen,
  settled,
  sleep,
  SOON,
  told,
  until,
} from "../../_broker_bench.ts";

const PAST = new Date(1_000);
const ending = (n: number, expires: Date | number, key = "a") => new Counted({ n, key }, { expires });

export const expiring: readonly BrokerContract[] = [
  contract("55", "an expired event is settled without being handled, counted and told", async (bench) => {
    const broker = await bench.broker();
    const later = ending(1, 3_600_000);
    const events = [ending(0, PAST), later, ending(2, PAST), ...counted(1, 3)];
    await broker.publish(events);
    const seen = new Seen<Counted>();
    const subscription = await broker.subscribe(Counted, seen.handler, { group: "group" });
    const expired = told<DeliveryEvent>(subscription, "expired");
    await settled(broker, Counted);
    assertEquals(seen.events.map(({ detail }) => detail.n), [1, 3]);
    assertEquals(seen.events[0]!.expires, later.expires);
    assertEquals(seen.events[1]!.expires, undefined);
    await until(() => expired.length === 2, "two events are told");
    assertEquals(expired.map(({ position, eventType }) => [position, eventType]), [
      [events[0]!.position, "Counted"],
      [events[2]!.position, "Counted"],
    ]);
    const { expired: count, deadLetters } = await groupOf(broker, Counted);
    assertEquals({ count, deadLetters }, { count: 2, deadLetters: 0 });
    assertEquals((await Array.fromAsync(broker.history(Counted))).map(({ expires }) => expires?.getTime()), [
      1_000,
      later.expires!.getTime(),
      1_000,
      undefined,
    ]);
  }),

  contract("22, 55", "an expired event becomes a dead letter of the group that wants it", async (bench) => {
    const broker = await bench.broker();
    await broker.publish([ending(0, PAST), ...counted(1, 1)]);
    const seen = new Seen<Counted>();
    const subscription = await broker.subscribe(Counted, seen.handler, { group: "group", whenExpired: "dead-letter" });
    const letters = told<DeadLetterEvent>(subscription, "deadletter");
    await settled(broker, Counted);
    assertEquals(seen.events.map(({ detail }) => detail.n), [1]);
    await until(() => letters.length === 1, "the letter is told");
    const [letter] = await lettersOf(broker, Counted);
    assertEquals([letter!.reason, letter!.attempts, letters[0]!.reason], ["expired", 0, "expired"]);
    assertEquals(letter!.error.message, "It has expired at 1970-01-01T00:00:01.000Z, before a handler began");
    assertEquals((await groupOf(broker, Counted)).expired, 0);
  }),

  contract(
    "9, 55",
    "an event that expires behind another one of its key, or before a retry, is not handled",
    async (bench) => {
      const broker = await bench.broker();
      await broker.publish([ending(0, 3_600_000), ending(1, 150), ending(2, 3_600_000), ending(3, 150, "b")]);
      const gate = new Gate();
      const handled: string[] = [];
      await broker.subscribe(Counted, async ({ detail: { n } }, { attempt }) => {
        handled.push(`${n}.${attempt}`);
        if (n === 0) await gate.opened;
        if (n === 3) throw new Error("not yet");
      }, { group: "group", key: ({ detail }) => detail.key!, concurrency: 2, retry: { ...SOON, minTimeout: 20 } });
      await until(() => handled.includes("3.1"), "the handlers have begun");
      await until(async () => (await groupOf(broker, Counted)).expired === 1, "the retried event has expired");
      await sleep(0);
      gate.open();
      await settled(broker, Counted);
      assertEquals(handled.filter((text) => !text.startsWith("3")), ["0.1", "2.1"]);
      assertEquals((await groupOf(broker, Counted)).expired, 2);
    },
  ),

  contract("55", "consume() and batches leave expired events out", async (bench) => {
    const broker = await bench.broker();
    await broker.publish([ending(0, PAST), ending(1, 3_600_000), ending(2, PAST), ending(3, 3_600_000)]);
    const pulled: number[] = [];
    for await (const delivery of broker.consume(Counted, { group: "pulling" })) {
      pulled.push(delivery.event.detail.n);
      await delivery.ack();
      if (pulled.length === 2) break;
    }
    const batches: number[][] = [];
    await broker.subscribe(Counted, ({ events }) => void batches.push(events.map(({ detail }) => detail.n)), {
      group: "batches",
      batch: { size: 2 },
    });
    await settled(broker, Counted, "batches");
    await settled(broker, Counted, "pulling");
    assertEquals([pulled, batches], [[1, 3], [[1, 3]]]);
    for (const group of ["pulling", "batches"]) assertEquals((await groupOf(broker, Counted, group)).expired, 2);
  }),

  contract("43, 55", "an expired dead letter holds its key like any other one", async (bench) => {
    const broker = await bench.broker();
    await broker.publish([ending(0, PAST), ending(1, 3_600_000), ending(2, 3_600_000, "b")]);
    const seen = new Seen<Counted>();
    await broker.subscribe(Counted, seen.handler, {
      group: "group",
      whenExpired: "dead-letter",
      whenDead: "hold-key",
      key: ({ detail }) => detail.key!,
    });
    await until(async () => (await groupOf(broker, Counted)).held.waiting === 1, "the later event of the key waits");
    await seen.count(1);
    assertEquals(await broker.discardDeadLetters(Counted, { group: "group" }), 1);
    await settled(broker, Counted);
    assertEquals(seen.events.map(({ detail }) => detail.n), [2, 1]);
  }),

  contract("55", "whenExpired takes nothing but its two values", async (bench) => {
    const broker = await bench.broker();
    const whenExpired = "drop" as "skip";
    await assertRejects(
      () => broker.subscribe(Counted, () => {}, { group: "group", whenExpired }),
      TypeError,
      'give "skip" or "dead-letter"',
    );
    assert((await broker.info(Counted)).groups.length === 0);
  }),
];
