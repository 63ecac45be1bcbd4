import { assert, assertEquals, assertRejects } from "@std/assert";
import { PublishError } from "../../../broker/mod.ts";
import { defineEvent, type DomainEvent, type EventClass } from "../../../events/mod.ts";
import { comparePositions, StoreError } from "../../../store/mod.ts";
import {
  assertOrder,
  assertSame,
  type BrokerContract,
  contract,
  Counted,
  counted,
  Other,
} from "../../_broker_bench.ts";
import { FaultyStore } from "../../_faulty_store.ts";

export const publishing: readonly BrokerContract[] = [
  contract("30", "publish() keeps the order of 10,000 concurrent calls", async (bench) => {
    const broker = await bench.broker();
    const events = counted(10_000);
    const positions = await Promise.all(events.map((event) => broker.publish(event)));
    assertOrder(await Array.fromAsync(broker.history(Counted)), events);
    assert(positions.every((position, i) => i === 0 || comparePositions(positions[i - 1]!, position) < 0));
    assertEquals(positions, events.map(({ position }) => position!));
  }),

  contract("30", "publish() keeps the order of single events and arrays of several publishers", async (bench) => {
    const brokers = [await bench.broker(), await bench.broker()];
    const events = [counted(1_000), counted(1_000, 1_000)];
    await Promise.all(brokers.map(async (broker, i) => {
      const publishing: Promise<unknown>[] = [];
      for (let at = 0, size = 1; at < 1_000; at += size, size = size * 3 % 101) {
        const some = events[i]!.slice(at, at + size);
        publishing.push(some.length === 1 ? broker.publish(some[0]!) : broker.publish(some));
        if (at % 7 === 0) await Promise.resolve();
      }
      await Promise.all(publishing);
    }));
    const all = await Array.fromAsync(brokers[0]!.history(Counted));
    assertSame(all, events.flat());
    for (const mine of events) assertOrder(all.filter(({ id }) => mine.some((event) => event.id === id)), mine);
  }),

  contract("30", "publish() of a stored event resolves with its position and appends nothing", async (bench) => {
    const broker = await bench.broker();
    const events = counted(5);
    const [first] = events;
    const [one, same] = await Promise.all([broker.publish(first!), broker.publish(first!)]);
    assertEquals(one, same);
    assertEquals(await broker.publish(first!), one);
    const positions = await broker.publish(events);
    assertEquals(positions[0], one);
    assertEquals(await broker.publish([...events].reverse()), [...positions].reverse());
    assertEquals(await broker.publish(events[3]!), positions[3]);
    assertOrder(await Array.fromAsync(broker.history(Counted)), events);
    await assertRejects(() => broker.publish([first!, first!]), TypeError, "twice");
    assertEquals(await broker.publish([]), []);
  }),

  contract("30", "publish() refuses an event that is too large before writing anything", async (bench) => {
    const broker = await bench.connect([Counted, Other]);
    const other = () => new Other({ n: 0 });
    const large = (count: number, size: number) =>
      Array.from({ length: count }, () => new Counted({ n: 0, key: "x".repeat(size) }));
    for (const array of [counted(501), large(3, 400_000), [other(), ...counted(501)], [...counted(501), other()]]) {
      await assertRejects(() => broker.publish(array), RangeError);
    }
    await assertRejects(() => broker.publish(large(1, 17 * 2 ** 20)[0]!), RangeError);
    assertEquals((await broker.info(Counted)).length + (await broker.info(Other)).length, 0);
    const fits = [...counted(500), ...large(1, 600_000)];
    await broker.publish(fits.slice(0, 500));
    await broker.publish(fits[500]!);
    assertOrder(await Array.fromAsync(broker.history(Counted)), fits);
  }),

  contract("30", "publish() refuses a detail that JSON would lose before writing anything", async (bench) => {
    class Free extends defineEvent("Free")<unknown> {}
    const broker = await bench.connect([Counted, Free]);
    for (const detail of [{ a: [1n] }, { at: new Date() }, new Map(), { n: NaN }, [undefined]]) {
      await assertRejects(() => broker.publish(new Free(detail)), TypeError);
      await assertRejects(() => broker.publish([new Counted({ n: 0 }), new Free(detail)]), TypeError);
      await assertRejects(() => broker.publish([new Free({}), new Free(detail)]), TypeError);
    }
    assertEquals((await broker.info(Counted)).length + (await broker.info(Free)).length, 0);
  }),

  contract("30", "publish() refuses an event of a class that is not in events", async (bench) => {
    const broker = await bench.broker() as { publish(event: unknown): Promise<unknown> };
    const Namesake: EventClass = class extends defineEvent("Counted")<object> {};
    const wrong = [new Other({ n: 1 }), new Namesake({}), { type: "Counted", detail: {} }, null, undefined, "Counted"];
    for (const event of wrong) await assertRejects(() => broker.publish(event), TypeError, "Counted");
    await assertRejects(() => broker.publish([counted(1)[0], new Other({ n: 1 })]), TypeError, "Other");
  }),

  contract("30", "publish() of an array is atomic on each stream and reports the positions", async (bench) => {
    let faulty: FaultyStore | undefined;
    const broker = await bench.over((store) => faulty = new FaultyStore(store), { events: [Counted, Other] });
    const full = new Error("out of memory");
    faulty!.onAppend = (call, stream) => call.refuse(stream === "events:Other" ? full : undefined);
    const events: (Counted | Other)[] = [...counted(2), new Other({ n: 0 }), ...counted(2, 2), new Other({ n: 1 })];
    const error = await assertRejects(() => broker.publish(events), PublishError);
    assertEquals(error.errors, [full]);
    const stored = events.map((event) => event instanceof Counted ? event.position : undefined);
    assertEquals(error.positions, stored);
    assert(stored.filter((position) => position !== undefined).length === 4);
    await assertRejects(() => broker.publish([new Other({ n: 2 }), new Other({ n: 3 })]), Error, "out of memory");
    faulty!.onAppend = undefined;
    // Failed events are published again; stored events are only looked up.
    const positions = await broker.publish(events);
    assertEquals(positions.map((position, i) => stored[i] ?? position), positions);
    assertSame(
      await Array.fromAsync(broker.history([Counted, Other]) as AsyncIterable<DomainEvent>),
      events,
    );
  }, "store"),

  contract("30", "publish() keeps the order of other batches when one in the middle fails", async (bench) => {
    let faulty: FaultyStore | undefined;
    const broker = await bench.over((store) => faulty = new FaultyStore(store), { events: [Counted] });
    let calls = 0;
    faulty!.onAppend = (call) => call.refuse(++calls === 3 ? new Error("out of memory") : undefined);
    const events = counted(2_000);
    const results = await Promise.allSettled(events.map((event) => broker.publish(event)));
    const stored = events.filter((_, i) => results[i]!.status === "fulfilled");
    assert(stored.length < 2_000 && stored.length >= 1_500, `${stored.length} were stored`);
    assertOrder(await Array.fromAsync(broker.history(Counted)), stored);
  }, "store"),

  contract(
    "30",
    "publish() reports an unreachable store, tries again, and stores each event once",
    async (bench) => {
      let faulty: FaultyStore | undefined;
      const broker = await bench.over((store) => faulty = new FaultyStore(store), { events: [Counted] });
      let calls = 0;
      let reconnects = 0;
      broker.addEventListener("reconnect", ({ error, delay }) => {
        assert(error instanceof StoreError && delay > 0);
        reconnects++;
      });
      faulty!.onAppend = (call) => call.refuse(++calls <= 3 ? new StoreError("transient", "locked") : undefined);
      const events = counted(10);
      await Promise.all(events.map((event) => broker.publish(event)));
      assertOrder(await Array.fromAsync(broker.history(Counted)), events);
      assertEquals(reconnects, 3);
    },
    "store",
  ),

  contract(
    "30",
    "publish() stops waiting when its signal aborts, and unsent events can be published again",
    async (bench) => {
      let faulty: FaultyStore | undefined;
      const broker = await bench.over((store) => faulty = new FaultyStore(store), { events: [Counted] });
      const reason = new Error("enough");
      const [first, second, third] = counted(3);
      await assertRejects(() => broker.publish(first!, { signal: AbortSignal.abort(reason) }), Error, "enough");
      let fail = true;
      faulty!.onAppend = (call) => call.refuse(fail ? new StoreError("transient", "locked") : undefined);
      const stuck = broker.publish(second!);
      const controller = new AbortController();
      const waiting = broker.publish(third!, { signal: controller.signal });
      controller.abort(reason);
      assert(await waiting.catch((error) => error) === reason);
      fail = false;
      await stuck;
      await broker.publish(third!);
      await broker.publish(first!);
      assertSame(await Array.fromAsync(broker.history(Counted)), [first!, second!, third!]);
    },
    "store",
  ),
];
