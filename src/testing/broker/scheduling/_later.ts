import {
  assert,
  assertEquals,
  assertGreaterOrEqual,
  assertLess,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import type { Due, EventBroker } from "../../../broker/mod.ts";
import { defineEvent } from "../../../events/mod.ts";
import { positionTime } from "../../../store/mod.ts";
import {
  assertOrder,
  assertSame,
  type BrokerContract,
  contract,
  Counted,
  counted,
  Gate,
  insist,
  Other,
  Seen,
  settled,
  STREAM,
  told,
  until,
} from "../../_broker_bench.ts";
import { FaultyStore } from "../../_faulty_store.ts";
import { BidPlaced, bids, connectTo, numberOf } from "../partitions/_bids.ts";

class Numbered extends defineEvent("Numbered", { subject: "key" })<{ key: string; n: number }> {}
class First extends defineEvent("First", { stream: "Both" })<{ n: number }> {}
class Second extends defineEvent("Second", { stream: "Both" })<{ n: number }> {}

const HOUR = 3_600_000;

/** The ids of the waiting events of a class, by their time. */
async function waiting(broker: EventBroker, event: Parameters<EventBroker["scheduled"]>[0]): Promise<string[]> {
  return (await Array.fromAsync(broker.scheduled(event))).map(({ id }) => id);
}

export const later: readonly BrokerContract[] = [
  contract("49", "publish() with a delay stores an event at its time, and not before", async (bench) => {
    const broker = await bench.broker();
    const seen = new Seen<Counted>();
    await broker.subscribe(Counted, seen.handler, { group: "group" });
    const [event] = counted(1);
    const due = await broker.publish(event!, { delay: 200 });
    assertEquals([event!.position, event!.scheduledFor], [undefined, due]);
    const { length, scheduled } = await broker.info(Counted);
    if (length === 0) assertEquals(scheduled, { waiting: 1, next: due });
    await seen.count(1);
    const [handled] = seen.events;
    assertEquals([handled!.id, handled!.detail, handled!.scheduledFor], [event!.id, event!.detail, due]);
    assertGreaterOrEqual(positionTime(handled!.position!), due.getTime());
    assertEquals((await broker.info(Counted)).scheduled, { waiting: 0, next: undefined });
    assertEquals((handled!.toCloudEvent() as Record<string, unknown>).scheduledfor, due.toISOString());
    assertStringIncludes(JSON.stringify(handled), `"scheduledFor":"${due.toISOString()}"`);
  }),

  contract("49", "publish() at a time in the past stores an event now", async (bench) => {
    const broker = await bench.broker();
    const seen = new Seen<Counted>();
    await broker.subscribe(Counted, seen.handler, { group: "group" });
    const dues: Due[] = [{ at: new Date(0) }, { delay: 0 }, { delay: -5_000 }, { at: new Date(-8.64e15) }, {
      delay: -Infinity,
    }];
    for (const [n, due] of dues.entries()) await broker.publish(counted(1, n), due);
    await seen.count(5);
    assertEquals(seen.events.map(numberOf), [0, 1, 2, 3, 4]);
  }),

  contract(
    "49",
    "publish() with a delay stores an array in its order, and events of one time in that of the calls",
    async (bench) => {
      const broker = await bench.broker();
      const seen = new Seen<Counted>();
      await broker.subscribe(Counted, seen.handler, { group: "group", concurrency: 1 });
      const at = new Date(Date.now() + 300);
      const events = counted(1_000);
      const publishing = [broker.publish(events.slice(0, 400), { at })];
      for (const event of events.slice(400)) publishing.push(broker.publish(event, { at }));
      for (const due of await Promise.all(publishing)) assertGreaterOrEqual(due.getTime(), at.getTime());
      await seen.count(1_000);
      assertSame(seen.events, events);
      // On a slow machine, the last calls may come after the time.
      if (seen.events.every(({ scheduledFor }) => scheduledFor!.getTime() === at.getTime())) {
        assertOrder(
          seen.events,
          events,
        );
      }
    },
  ),

  contract("49", "a scheduled event is stored by another broker when its own has closed", async (bench) => {
    const events = counted(3);
    {
      await using broker = await bench.under.connect([Counted]);
      await broker.publish(events, { delay: 50 });
    }
    const broker = await bench.broker();
    const seen = new Seen<Counted>();
    await broker.subscribe(Counted, seen.handler, { group: "group" });
    await seen.count(3);
    assertOrder(seen.events, events);
  }),

  contract("49", "several brokers store each scheduled event once", async (bench) => {
    const brokers = [await bench.broker(), await bench.broker(), await bench.broker()];
    const events = counted(300);
    const seen = new Seen<Counted>();
    await brokers[0]!.subscribe(Counted, seen.handler, { group: "group" });
    await Promise.all(
      brokers.map((broker, nth) =>
        Promise.all(events.slice(nth * 100, nth * 100 + 100).map((event, i) => broker.publish(event, { delay: 2 * i })))
      ),
    );
    await seen.count(300);
    await settled(brokers[0]!, Counted);
    assertSame(seen.events, events);
    assertEquals((await brokers[1]!.info(Counted)).length, 300);
  }),

  contract("49, 30", "publish() with a delay schedules once although replies are lost", async (bench) => {
    const faulty: FaultyStore[] = [];
    const broker = await bench.over((store) => faulty[faulty.push(new FaultyStore(store)) - 1]!, {
      events: [Counted],
      publishTimeout: 60_000,
    });
    let calls = 0;
    faulty[0]!.onAppend = (call) => {
      calls++;
      if (calls % 3 === 1) call.lose();
      else if (calls % 3 === 2) call.miss();
    };
    const events = counted(20);
    const mixed = events.map((event, n) =>
      n % 2 === 0 ? broker.publish(event) : broker.publish(event, { delay: HOUR })
    );
    await Promise.all(mixed);
    assertEquals((await broker.info(Counted)).length, 10);
    assertSame(await waiting(broker, Counted), events.filter((_, n) => n % 2 === 1));
  }, "store"),

  contract("49, 30", "publish() of the same event again looks up its time", async (bench) => {
    const faulty: FaultyStore[] = [];
    const broker = await bench.over((store) => faulty[faulty.push(new FaultyStore(store)) - 1]!, {
      events: [Counted],
      publishTimeout: 100,
    });
    const gate = new Gate();
    let first = true;
    faulty[0]!.onAppend = (call) => {
      if (first) call.after = gate.opened;
      first = false;
    };
    const events = counted(2);
    const publishing = broker.publish(events, { delay: HOUR });
    await assertRejects(() => publishing, Error, "Cannot tell whether");
    gate.open();
    const due = await insist(() => broker.publish(events, { delay: 2 * HOUR }));
    assertEquals(events.map(({ scheduledFor }) => scheduledFor), [due, due]);
    assertLess(due.getTime(), Date.now() + 1.5 * HOUR);
    assertEquals(await broker.publish([...events, ...counted(1, 2)], { delay: HOUR / 2 }), due);
    assertEquals((await waiting(broker, Counted)).length, 3);
    await assertRejects(() => broker.publish(events[0]!), TypeError, "was scheduled by an earlier call");
    await assertRejects(() => broker.publish(events), TypeError, "was scheduled by an earlier call");
    const [now] = counted(1);
    await broker.publish(now!);
    await assertRejects(() => broker.publish(now!, { delay: 1 }), TypeError, "was published by an earlier call");
  }, "store"),

  contract("49", "publish() with a delay replaces a waiting event of the same id", async (bench) => {
    const broker = await bench.broker();
    await broker.publish(new Counted({ n: 1 }, { id: "reminder" }), { delay: HOUR });
    const due = await broker.publish(new Counted({ n: 2 }, { id: "reminder" }), { delay: 2 * HOUR });
    const [event, ...others] = await Array.fromAsync(broker.scheduled(Counted));
    assertEquals([event!.id, event!.detail.n, event!.scheduledFor, others], ["reminder", 2, due, []]);
  }),

  contract("49", "scheduled() lists the events of a class by their time", async (bench) => {
    const broker = await bench.connect([First, Second, Counted]);
    const start = Date.now() + HOUR;
    const events = Array.from({ length: 1_200 }, (_, n) => n % 2 === 0 ? new First({ n }) : new Second({ n }));
    await Promise.all(events.map((event, n) => broker.publish(event, { at: new Date(start + 1_200 - n) })));
    const first = events.filter((event) => event instanceof First).reverse();
    assertOrder(await Array.fromAsync(broker.scheduled(First)), first);
    const some: First[] = [];
    const [from, to] = [new Date(start + 400), new Date(start + 600)];
    for await (const event of broker.scheduled(First, { from, to })) {
      assertEquals([event.position, event.scheduledFor], [undefined, new Date(start + 1_200 - event.detail.n)]);
      some.push(event);
    }
    assertOrder(some, first.filter(({ detail: { n } }) => 1_200 - n >= 400 && 1_200 - n <= 600));
    assertEquals(await waiting(broker, Counted), []);
    for await (const event of broker.scheduled(Second)) {
      assert(await broker.unschedule(Second, event.id));
      break;
    }
    assertEquals((await broker.info(Second)).scheduled.waiting, 1_199);
  }),

  contract("49", "unschedule() cancels an event, and says whether it was in time", async (bench) => {
    const [broker, other] = [await bench.broker(), await bench.broker()];
    const seen = new Seen<Counted>();
    await broker.subscribe(Counted, seen.handler, { group: "group" });
    const [kept, cancelled] = counted(2);
    await broker.publish([kept!, cancelled!], { delay: 300 });
    const inTime = await other.unschedule(Counted, cancelled!.id);
    assertEquals(await broker.unschedule(Counted, cancelled!.id), false);
    assertEquals(await broker.unschedule(Counted, "unknown"), false);
    await seen.count(inTime ? 1 : 2);
    await settled(broker, Counted);
    assertEquals(seen.ids.includes(cancelled!.id), !inTime);
    assertEquals(await broker.unschedule(Counted, kept!.id), false);
  }),

  contract("49", "unschedule() tells classes of one stream apart", async (bench) => {
    const broker = await bench.connect([First, Second]);
    await broker.publish(new First({ n: 1 }, { id: "1" }), { delay: HOUR });
    await broker.publish(new Second({ n: 2 }, { id: "1" }), { delay: HOUR });
    assert(await broker.unschedule(Second, "1"));
    assertEquals([await waiting(broker, First), await waiting(broker, Second)], [["1"], []]);
  }),

  contract("49", "reschedule() moves an event to an earlier or a later time", async (bench) => {
    const [broker, other] = [await bench.broker(), await bench.broker()];
    const seen = new Seen<Counted>();
    await broker.subscribe(Counted, seen.handler, { group: "group" });
    const [sooner, never] = counted(2);
    await broker.publish(never!, { delay: 400 });
    await broker.publish(sooner!, { delay: HOUR });
    const moved = await other.reschedule(Counted, never!.id, { delay: 24 * HOUR });
    assert(await other.reschedule(Counted, sooner!.id, { at: new Date(0) }));
    await seen.count(moved ? 1 : 2);
    assert(seen.ids.includes(sooner!.id));
    await until(async () => !await broker.reschedule(Counted, sooner!.id, { delay: 1 }), "it waits no longer");
    if (moved) assertEquals(await waiting(broker, Counted), [never!.id]);
    assertEquals(await broker.reschedule(Counted, "unknown", { delay: 1 }), false);
  }),

  contract("49, 41, 42", "scheduled events of a subject get their revisions when they are stored", async (bench) => {
    const broker = await bench.connect([Numbered]);
    const seen = new Seen<Numbered>();
    await broker.subscribe(Numbered, seen.handler, { group: "group" });
    await broker.publish(new Numbered({ key: "a", n: 1 }));
    await broker.publish([new Numbered({ key: "a", n: 2 }), new Numbered({ key: "b", n: 3 })], { delay: 20 });
    await seen.count(3);
    await broker.publish(new Numbered({ key: "a", n: 4 }), { expected: { subject: "a", revision: 2 } });
    const history = await Array.fromAsync(broker.history(Numbered, { subject: "a" }));
    assertEquals(history.map(({ revision, detail }) => [revision, detail.n]), [[1, 1], [2, 2], [3, 4]]);
  }),

  contract(
    "49, 46, 47",
    "scheduled events of a stream with partitions come to their partitions, and are listed together",
    async (bench) => {
      const [broker, other] = [await connectTo(bench), await connectTo(bench)];
      const events = bids(200);
      const due = new Date(Date.now() + HOUR);
      for (const event of events.slice(0, 100)) await broker.publish(event, { at: due });
      await broker.publish(events.slice(100), { at: due });
      assertSame(await Array.fromAsync(other.scheduled(BidPlaced)), events);
      const { scheduled, length } = await other.info(BidPlaced);
      assertEquals([scheduled, length], [{ waiting: 200, next: due }, 0]);
      assert(await other.unschedule(BidPlaced, events[7]!.id));
      assertEquals(await broker.unschedule(BidPlaced, events[7]!.id), false);
      const rest = events.filter((_, n) => n !== 7);
      for (const event of rest) assert(await other.reschedule(BidPlaced, event.id, { delay: 10 }));
      const seen = new Seen<BidPlaced>();
      await broker.subscribe(BidPlaced, seen.handler, { group: "group" });
      await seen.count(199);
      await settled(broker, BidPlaced);
      assertSame(seen.events, rest);
      const { partitions } = await broker.info(BidPlaced);
      assert(partitions!.every((partition) => partition.length > 0), "each partition has events");
    },
  ),

  contract("49, 48", "repartition() takes waiting events along", async (bench) => {
    const [broker, idle] = [await connectTo(bench, 2), await connectTo(bench, 2)];
    const events = bids(100);
    const seen = new Seen<BidPlaced>();
    await broker.subscribe(BidPlaced, seen.handler, { group: "group" });
    await broker.publish(bids(20, { from: 100 }));
    await broker.publish(events.slice(0, 60), { delay: HOUR });
    await broker.publish(events.slice(60), { delay: 1_800 });
    await broker.repartition(BidPlaced, { partitions: 5 });
    await broker.repartition(BidPlaced, { partitions: 3 });
    await seen.count(60, 20_000);
    assertSame(await Array.fromAsync(idle.scheduled(BidPlaced)), events.slice(0, 60));
    assert(await idle.unschedule(BidPlaced, events[0]!.id));
    for (const { id } of events.slice(1, 60)) assert(await idle.reschedule(BidPlaced, id, { delay: 0 }));
    await seen.count(119, 20_000);
    await settled(broker, BidPlaced);
    assertEquals(seen.events.length, 119);
    for (
      const [subject, own] of Map.groupBy(await Array.fromAsync(broker.history(BidPlaced)), ({ subject }) => subject)
    ) {
      assertEquals(own.map(({ revision }) => revision).sort((a, b) => a! - b!), own.map((_, nth) => nth + 1), subject);
    }
  }),

  contract("49", "publish() with a delay refuses bad input, and stores nothing", async (bench) => {
    const broker = await bench.connect([Counted, Other, Numbered]);
    const refuse = async (options: unknown, kind: ErrorConstructor, text: string, events: unknown = counted(1)) => {
      const publish = broker.publish as (events: unknown, options: unknown) => Promise<unknown>;
      await assertRejects(() => publish.call(broker, events, options), kind, text);
    };
    await refuse({ delay: NaN }, RangeError, "NaN as delay");
    await refuse({ delay: Infinity }, RangeError, "at most 31556952000000");
    await refuse({ delay: "5" }, TypeError, "as delay");
    await refuse({ at: new Date(NaN) }, TypeError, "give a valid Date");
    await refuse({ at: Date.now() }, TypeError, "give a valid Date");
    await refuse({ at: new Date("+010000-01-01") }, RangeError, "before the year 10000");
    await refuse({ delay: 1, at: new Date() }, TypeError, "both delay and at");
    await refuse({ delay: 1, expected: { subject: "a", revision: 1 } }, TypeError, "leave one of them out");
    await refuse({ delay: 1, priority: 1 }, TypeError, "priority");
    await refuse({ delay: 1 }, TypeError, "several streams", [...counted(1), new Other({ n: 1 })]);
    await refuse({ delay: 1 }, TypeError, "there are none", []);
    await refuse({ delay: 1 }, RangeError, "at most 500", counted(501));
    const [twice] = counted(1);
    await refuse({ delay: 1 }, TypeError, "same event object twice", [twice, twice]);
    for (const due of [{}, { delay: 1, at: new Date() }, { delay: NaN }]) {
      await assertRejects(() => broker.reschedule(Counted, "1", due as Due), Error, "Cannot reschedule an event");
    }
    await assertRejects(() => broker.unschedule(Counted, 7 as never), TypeError, "give the id of the event");
    assertThrows(() => broker.scheduled(Counted, { from: new Date(NaN) }), TypeError, "as from");
    assertThrows(() => broker.scheduled(Counted, { since: 1 } as never), TypeError, "since");
    const { length, scheduled } = await broker.info(Counted);
    assertEquals([length, scheduled.waiting], [0, 0]);
  }),

  contract("49, 34", "scheduled events come at the time of the store, whatever its clock does", async (bench) => {
    const broker = await bench.broker();
    // No group: a clock that jumps ends leases.
    const stored = async (count: number) =>
      await until(async () => (await broker.info(Counted)).length === count, `${count} events are stored`);
    const events = counted(3);
    await broker.publish(events[0]!, { delay: HOUR });
    await broker.publish(events[1]!, { delay: 2 * HOUR });
    bench.clock.advance(HOUR);
    await stored(1);
    bench.clock.advance(-10 * HOUR);
    await broker.publish(events[2]!, { delay: 10 });
    await stored(2);
    bench.clock.advance(12 * HOUR);
    await stored(3);
    assertOrder(await Array.fromAsync(broker.history(Counted)), [events[0]!, events[2]!, events[1]!]);
  }, "clock"),

  contract("49, 37", "health() tells that scheduled events cannot be stored", async (bench) => {
    let fails = true;
    const store = await bench.store();
    const broker = await bench.over((inner) =>
      new Proxy(inner, {
        get: (target, name) => {
          const value = Reflect.get(target, name);
          if (name !== "schedule") return typeof value === "function" ? value.bind(target) : value;
          return (...args: Parameters<typeof target.schedule>) => {
            const schedule = target.schedule(...args);
            return new Proxy(schedule, {
              get: (inner, name) => {
                const method = Reflect.get(inner, name);
                if (name === "promote" && fails) return () => Promise.reject(new Error("the disk is full"));
                return method.bind(inner);
              },
            });
          };
        },
      }), { events: [Counted] });
    const errors = told<ErrorEvent>(broker, "error");
    await broker.publish(counted(1), { delay: 0 });
    await until(async () => !(await broker.health()).ready, "health() sees it");
    assertEquals((await broker.health()).problems, [
      `Scheduled events of ${STREAM} cannot be stored: the disk is full`,
    ]);
    assertEquals(errors.length, 1);
    fails = false;
    await until(async () => (await store.admin(STREAM).info()).length === 1, "the event is stored");
    await until(async () => (await broker.health()).ready, "health() sees that, too");
  }, "store"),
];
