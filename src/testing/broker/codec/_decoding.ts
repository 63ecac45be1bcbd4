import { assert, assertEquals, assertRejects } from "@std/assert";
import { BrokerClosedError } from "../../../broker/mod.ts";
import { defineEvent } from "../../../events/mod.ts";
import {
  assertOrder,
  assertSame,
  type BrokerContract,
  contract,
  groupOf,
  lettersOf,
  Seen,
  settled,
  sleep,
  SOON,
  told,
  until,
  within,
} from "../../_broker_bench.ts";
import { PausableSchema, refused } from "../../_schemas.ts";

/** The same event type in a process without the schema. */
class Plain extends defineEvent("Asked")<{ n: number }> {}

const numbered = (count: number): Plain[] => Array.from({ length: count }, (_, n) => new Plain({ n }));

/** Contracts of entries that decode asynchronously. */
export const decoding: readonly BrokerContract[] = [
  contract("5", "subscribe() keeps the order when decoding takes different times", async (bench) => {
    const validation = new PausableSchema((n) => n === 4 ? refused("never", "n") : { value: { n } }).hold(0, 3, 7);
    class Asked extends defineEvent("Asked", { schema: validation.schema }) {}
    const writer = await bench.connect([Plain]);
    const broker = await bench.connect([Asked]);
    const events = numbered(10);
    await writer.publish(events);
    const seen = new Seen<Asked>();
    await broker.subscribe(Asked, seen.handler, { group: "group", prefetch: 10 });
    await validation.started(9);
    assertEquals([seen.ids, (await groupOf(broker, Asked)).pending], [[], 10]);
    validation.release(3, 7);
    await sleep(20);
    assertEquals(seen.ids, []);
    validation.release(0);
    await settled(broker, Asked);
    assertOrder(seen.ids, events.filter(({ detail }) => detail.n !== 4));
    assertEquals((await lettersOf(broker, Asked)).length, 1);
  }),

  contract("9", "subscribe() keeps the order of each key when decoding is slow", async (bench) => {
    const validation = new PausableSchema().hold(0, 2);
    class Asked extends defineEvent("Asked", { schema: validation.schema }) {}
    const writer = await bench.connect([Plain]);
    const broker = await bench.connect([Asked]);
    const events = numbered(30);
    await writer.publish(events);
    const seen = new Seen<Asked>();
    let failures = 0;
    await broker.subscribe(Asked, (event) => {
      if (event.detail.n === 5 && failures++ < 2) throw new Error("later");
      seen.handler(event);
    }, { group: "group", concurrency: 4, key: ({ detail }) => String(detail.n % 3), retry: SOON });
    await validation.started(29);
    validation.release(2, 0);
    await settled(broker, Asked);
    for (const key of [0, 1, 2]) {
      const mine = seen.events.filter(({ detail }) => detail.n % 3 === key);
      assertOrder(mine, events.filter(({ detail }) => detail.n % 3 === key));
    }
  }),

  contract("18", "subscribe() keeps a delivery however long decoding takes", async (bench) => {
    const validation = new PausableSchema().hold(0, 1, 2);
    class Asked extends defineEvent("Asked", { schema: validation.schema }) {}
    const writer = await bench.connect([Plain]);
    const lease = 100;
    const renewals = bench.watchRenewals(lease);
    const broker = await bench.over((store) => renewals.over(store), { events: [Asked] });
    const other = await bench.connect([Plain]);
    const events = numbered(3);
    await writer.publish(events);
    const [mine, others] = [new Seen<Asked>(), new Seen<Plain>()];
    const subscription = await broker.subscribe(Asked, mine.handler, { group: "group", lease, prefetch: 3 });
    const lost = told(subscription, "leaselost");
    await validation.started(0, 1, 2);
    await other.subscribe(Plain, others.handler, { group: "group", lease: 60_000 });
    await until(() => renewals.count >= 10, "more than three leases have passed");
    validation.release(0, 1, 2);
    await settled(broker, Asked);
    if (renewals.inTime()) {
      assertOrder(mine.ids, events);
      assertEquals([others.ids, lost], [[], []]);
    } else assertSame([...new Set([...mine.ids, ...others.ids])], events);
  }, "store"),

  contract("32", "close() releases deliveries that are being decoded, uncounted", async (bench) => {
    const validation = new PausableSchema().hold(0);
    class Asked extends defineEvent("Asked", { schema: validation.schema }) {}
    const writer = await bench.connect([Plain]);
    const [broker, other] = [await bench.connect([Asked]), await bench.connect([Plain])];
    const events = numbered(8);
    await writer.publish(events);
    const mine = new Seen<Asked>();
    const subscription = await broker.subscribe(Asked, mine.handler, { group: "group", lease: 60_000 });
    await validation.started(0);
    await subscription.close();
    validation.release(0);
    const attempts: number[] = [];
    const others = new Seen<Plain>();
    await other.subscribe(Plain, (event, { attempt, recovered }) => {
      others.handler(event);
      attempts.push(attempt, recovered);
    }, { group: "group" });
    await settled(other, Plain);
    assertEquals(mine.ids, []);
    assertSame(others.ids, events);
    assertEquals(attempts, events.flatMap(() => [1, 0]));
  }),

  contract("28, 32, 33", "close() waits for no listener and no reader whose event is being decoded", async (bench) => {
    const validation = new PausableSchema().hold(0);
    class Asked extends defineEvent("Asked", { schema: validation.schema }) {}
    const [writer, broker] = [await bench.connect([Plain]), await bench.connect([Asked])];
    await writer.publish(numbered(1));
    const reading = [
      broker.history(Asked).next(),
      broker.history(Asked, { follow: true }).next(),
      broker.replay(Asked, () => {}),
    ];
    const ends = Promise.allSettled(reading);
    await until(() => validation.validated.length === 3, "all of them decode the event");
    const controller = new AbortController();
    const aborted = broker.history(Asked, { signal: controller.signal }).next();
    await until(() => validation.validated.length === 4, "the last one decodes it");
    const reason = new Error("enough");
    controller.abort(reason);
    assert(await within(assertRejects(() => aborted), "the reader to end") === reason);
    broker.addEventListener("Asked", () => {});
    // Published by the broker itself, which waits until its listener follows the stream.
    await broker.publish(new Asked({ n: 1 }));
    await writer.publish(numbered(1));
    await until(() => validation.validated.filter((n) => n === 0).length === 5, "the listener's event is decoded");
    await within(broker.close(), "the broker to close");
    for (const end of await within(ends, "the readers to end")) {
      assert(end.status === "rejected" && end.reason instanceof BrokerClosedError);
    }
    validation.release(0);
  }),

  contract("29", "rewind() drops deliveries that are being decoded, and they come again", async (bench) => {
    const validation = new PausableSchema().hold(2);
    class Asked extends defineEvent("Asked", { schema: validation.schema }) {}
    const writer = await bench.connect([Plain]);
    const broker = await bench.connect([Asked]);
    const events = numbered(6);
    await writer.publish(events);
    const seen = new Seen<Asked>();
    const subscription = await broker.subscribe(Asked, seen.handler, { group: "group", prefetch: 6 });
    const lost = told(subscription, "leaselost");
    await seen.count(2);
    await validation.started(5);
    await until(async () => (await groupOf(broker, Asked)).pending === 4, "the handled events are settled");
    await broker.rewind(Asked, { group: "group", to: events[0]!.position! });
    await until(() => lost.length === 4, "the deliveries being decoded are lost");
    validation.release(2);
    await settled(broker, Asked);
    assertOrder(seen.ids, [...events.slice(0, 2), ...events]);
  }),

  contract("4, 22", "subscribe() counts decoding beyond handlerTimeout as a failed attempt", async (bench) => {
    const validation = new PausableSchema().hold(1);
    class Asked extends defineEvent("Asked", { schema: validation.schema }) {}
    const writer = await bench.connect([Plain]);
    const broker = await bench.connect([Asked]);
    const events = numbered(3);
    await writer.publish(events);
    const seen = new Seen<Asked>();
    const retry = { ...SOON, maxAttempts: 2 };
    await broker.subscribe(Asked, seen.handler, { group: "group", handlerTimeout: 50, retry });
    await settled(broker, Asked);
    assertSame(seen.ids, [events[0]!, events[2]!]);
    validation.release(1);
    const [letter] = await lettersOf(broker, Asked);
    assertEquals([letter!.reason, letter!.attempts], ["attempts", 2]);
    assert(letter!.error.message.endsWith("Decoding took longer than 50 ms"), letter!.error.message);
    assertEquals(letter!.event?.detail, { n: 1 });
  }),

  contract(
    "33",
    "addEventListener() receives events in order when decoding is slow or fails at first",
    async (bench) => {
      let away = 2;
      const validation = new PausableSchema((n) => {
        if (n === 1 && away-- > 0) throw new Error("The database is away");
        return { value: { n } };
      }).hold(0);
      class Asked extends defineEvent("Asked", { schema: validation.schema }) {}
      const broker = await bench.connect([Asked]);
      const live = new Seen<Asked>();
      broker.addEventListener("Asked", live.handler);
      const reconnects = told(broker, "reconnect");
      // Published by a class without a schema: only decoding takes time.
      const writer = await bench.connect([Plain]);
      const ready = new Asked({ n: 9 });
      await broker.publish(ready);
      const events = numbered(3);
      await writer.publish(events);
      await validation.started(0);
      assertEquals(live.ids, [ready.id]);
      validation.release(0);
      await live.count(4);
      assertOrder(live.ids, [ready, ...events]);
      assertEquals(reconnects.length, 2);
    },
  ),
];
