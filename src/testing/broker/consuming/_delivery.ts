import { assert, assertEquals } from "@std/assert";
import { defineEvent, DomainEvent } from "../../../events/mod.ts";
import { positionTime } from "../../../store/mod.ts";
import {
  assertOrder,
  assertSame,
  type BrokerContract,
  contract,
  Counted,
  counted,
  groupOf,
  Other,
  Seen,
  settled,
  sleep,
  SOON,
  until,
} from "../../_broker_bench.ts";

export const delivering: readonly BrokerContract[] = [
  contract("1", "subscribe() receives events published before, unchanged", async (bench) => {
    const broker = await bench.broker();
    const detail = { n: 1.5, key: 'ä "quoted" \u2028 \u0000 😀', list: [null, true, { a: [] }], __proto: {} };
    const event = new Counted(detail, {
      time: new Date("2026-02-03T04:05:06.789Z"),
      source: "/here",
      subject: "that",
      correlationId: "c-1",
      causationId: "c-0",
      traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
      extensions: { region: "eu", trace2: "äöü" },
    });
    const events = [event, new Counted({ n: 2 }, { id: "my own id" }), new Counted({ n: 3 }, { time: new Date(0) })];
    const positions = await Promise.all(events.map((event) => broker.publish(event)));
    assertEquals(events.map(({ position }) => position), positions);
    const seen = new Seen<Counted>();
    await (await bench.broker()).subscribe(Counted, seen.handler, { group: "group" });
    await seen.count(3);
    await settled(broker, Counted);
    assertOrder(seen.ids, events);
    assertEquals(seen.events.map((event) => event.toCloudEvent()), events.map((event) => event.toCloudEvent()));
    assert(seen.events.every((event) => event instanceof Counted && event instanceof DomainEvent));
  }),

  contract("1", "subscribe() gives its handler a complete delivery", async (bench) => {
    const broker = await bench.broker();
    const [event] = counted(1);
    const position = await broker.publish(event!);
    const { promise, resolve } = Promise.withResolvers<unknown>();
    const subscription = await broker.subscribe(
      Counted,
      (event, delivery) => {
        const { position, group, attempt, recovered, signal } = delivery;
        assert(delivery.consumer.startsWith("me."), delivery.consumer);
        assert(delivery.event === event);
        resolve({ position, group, attempt, recovered, aborted: signal.aborted });
      },
      { group: "group", consumer: "me" },
    );
    assertEquals(await promise, { position, group: "group", attempt: 1, recovered: 0, aborted: false });
    assertEquals(subscription.group, "group");
  }),

  contract("2", "subscribe() shares events among 50 consumers of a group", async (bench) => {
    const seen = new Seen<Counted>();
    const consumers = await Promise.all(Array.from({ length: 50 }, () => bench.broker()));
    await Promise.all(consumers.map((broker) => broker.subscribe(Counted, seen.handler, { group: "group" })));
    const publishers = consumers.slice(0, 2);
    const events = counted(5_000);
    // Fifty publishers, a hundred events each.
    await Promise.all(Array.from({ length: 50 }, async (_, publisher) => {
      const mine = events.slice(publisher * 100, publisher * 100 + 100);
      for (let at = 0; at < 100; at += 10) {
        await Promise.all(mine.slice(at, at + 10).map((event) => publishers[publisher % 2]!.publish(event)));
      }
    }));
    await settled(consumers[0]!, Counted);
    assertSame(seen.ids, events);
  }),

  contract("3, 11", "subscribe() keeps 20 types apart when they are published at once", async (bench) => {
    const classes = Array.from({ length: 20 }, (_, i) => class extends defineEvent(`Type${i}`)<{ n: number }> {});
    const broker = await bench.connect(classes);
    const published = classes.map((eventClass) => Array.from({ length: 100 }, (_, n) => new eventClass({ n })));
    const seen = classes.map(() => new Seen());
    await Promise.all(classes.map(async (eventClass, i) => {
      const subscribing = broker.subscribe(eventClass, seen[i]!.handler, { group: "group" });
      await Promise.all(published[i]!.map((event) => broker.publish(event)));
      await subscribing;
    }));
    for (const [i, eventClass] of classes.entries()) {
      await settled(broker, eventClass);
      assertOrder(seen[i]!.ids, published[i]!);
      assert(seen[i]!.events.every((event) => event instanceof eventClass));
    }
  }),

  contract("3, 11", "subscribe() gives one handler events of several types", async (bench) => {
    const broker = await bench.connect([Counted, Other]);
    const seen = new Seen<Counted | Other>();
    await broker.subscribe([Counted, Other], seen.handler, { group: "group", concurrency: 4 });
    const events = counted(50);
    const others = Array.from({ length: 50 }, (_, n) => new Other({ n }));
    await Promise.all([...events, ...others].map((event) => broker.publish(event)));
    await settled(broker, Counted);
    await settled(broker, Other);
    assertOrder(seen.events.filter((event) => event instanceof Counted), events);
    assertOrder(seen.events.filter((event) => event instanceof Other), others);
  }),

  contract("6", "subscribe() resumes where the group was when brokers come and go", async (bench) => {
    const publisher = await bench.broker();
    const events = counted(400);
    for (let at = 0; at < 400; at += 100) await publisher.publish(events.slice(at, at + 100));
    const seen = new Seen<Counted>();
    for (let session = 1; session <= 8; session++) {
      const broker = await bench.broker();
      await broker.subscribe(Counted, async (event) => {
        await Promise.resolve();
        seen.handler(event);
      }, { group: "group", consumer: "me", concurrency: 3 });
      await seen.count(Math.min(400, session * 45));
      await broker.close();
    }
    await publisher.subscribe(Counted, seen.handler, { group: "group", consumer: "me" });
    await settled(publisher, Counted);
    assertSame(seen.ids, events);
  }),

  contract("7", "subscribe() loses nothing when ten subscriptions open and close at once", async (bench) => {
    const publisher = await bench.broker();
    const events = counted(200);
    await publisher.publish(events);
    const seen = new Seen<Counted>();
    const brokers = await Promise.all(Array.from({ length: 10 }, () => bench.broker()));
    await Promise.all(brokers.map(async (broker) => {
      const subscription = await broker.subscribe(Counted, async (event) => {
        await sleep(1);
        seen.handler(event);
      }, { group: "group" });
      await subscription.close();
    }));
    const { pending, consumers } = await groupOf(publisher, Counted);
    assertEquals({ handed: pending + seen.distinct <= 200, consumers }, { handed: true, consumers: [] });
    await publisher.subscribe(Counted, seen.handler, { group: "group" });
    await settled(publisher, Counted);
    assertSame(seen.ids, events);
  }),

  contract("4, 8", "subscribe() loses nothing to consumers that fail 100 times and close", async (bench) => {
    const broker = await bench.broker();
    const events = counted(60);
    await broker.publish(events);
    for (let session = 0; session < 3; session++) {
      let failures = 0;
      const failing = await bench.broker();
      await failing.subscribe(Counted, () => {
        failures++;
        throw new Error("not today");
      }, { group: "group", concurrency: 5, retry: SOON });
      await until(() => failures >= 100, "the handler has failed a hundred times");
      await failing.close();
    }
    const seen = new Seen<Counted>();
    await broker.subscribe(Counted, seen.handler, { group: "group", retry: SOON });
    await settled(broker, Counted);
    assertSame(seen.ids, events);
    assertEquals((await groupOf(broker, Counted)).deadLetters, 0);
  }),

  contract("14", "subscribe() begins a new group at startFrom", async (bench) => {
    const broker = await bench.broker();
    const before = counted(3);
    for (const event of before) await broker.publish(event);
    await until(() => Date.now() > positionTime(before[2]!.position!) + 1, "the clock has moved on");
    const date = new Date();
    const after = counted(3, 3);
    for (const event of after) await broker.publish(event);
    const seen = new Map<string, Seen<Counted>>();
    const begin = async (group: string, startFrom?: "beginning" | "now" | `${number}-${number}` | Date) => {
      seen.set(group, new Seen());
      const options = startFrom === undefined ? { group } : { group, startFrom };
      return await broker.subscribe(Counted, seen.get(group)!.handler, options);
    };
    await begin("default");
    await begin("beginning", "beginning");
    await begin("now", "now");
    await begin("position", before[1]!.position!);
    const subscription = await begin("date", date);
    const [last] = counted(1, 6);
    await broker.publish(last!);
    for (const group of seen.keys()) await settled(broker, Counted, group);
    const all = [...before, ...after, last!];
    const expected = { default: all, beginning: all, now: [last!], position: all.slice(1), date: [...after, last!] };
    for (const [group, events] of Object.entries(expected)) assertOrder(seen.get(group)!.ids, events);
    // startFrom counted only when the group was new.
    await subscription.close();
    await begin("date", "beginning");
    const [later] = counted(1, 7);
    await broker.publish(later!);
    await settled(broker, Counted, "date");
    assertOrder(seen.get("date")!.ids, [later!]);
  }),

  contract("16", "subscribe() gives every group every event", async (bench) => {
    const broker = await bench.broker();
    const groups = ["payments", "mails", "default"];
    const seen = groups.map(() => new Seen<Counted>());
    for (const [i, group] of groups.entries()) await broker.subscribe(Counted, seen[i]!.handler, { group });
    const events = counted(100);
    await Promise.all(events.map((event) => broker.publish(event)));
    for (const [i, group] of groups.entries()) {
      await settled(broker, Counted, group);
      assertOrder(seen[i]!.ids, events);
    }
  }),

  contract("", "publish() in a handler passes on correlation and causation, also after await", async (bench) => {
    const broker = await bench.connect([Counted, Other]);
    await broker.subscribe(Counted, async (event) => {
      await sleep(Math.random() * 5);
      await broker.publish(new Other({ n: event.detail.n }));
      if (event.detail.n === 0) {
        await broker.publish(new Other({ n: -1 }, { correlationId: "mine", causationId: "also mine" }));
      }
    }, { group: "group", concurrency: 10 });
    const causes = counted(30);
    causes.push(new Counted({ n: 30 }, { correlationId: "given" }));
    await Promise.all(causes.map((event) => broker.publish(event)));
    await settled(broker, Counted);
    const effects = await Array.fromAsync(broker.history(Other));
    assertEquals(effects.length, causes.length + 1);
    for (const { detail: { n }, correlationId, causationId } of effects) {
      const cause = causes[n];
      const expected = cause === undefined ? ["mine", "also mine"] : [cause.correlationId ?? cause.id, cause.id];
      assertEquals([correlationId, causationId], expected);
    }
    const outside = new Other({ n: 99 });
    await broker.publish(outside);
    assertEquals([outside.correlationId, outside.causationId], [undefined, undefined]);
  }),
];
