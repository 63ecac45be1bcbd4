import { assert, assertEquals, assertRejects } from "@std/assert";
import { UndecodableError } from "../../../broker/mod.ts";
import { comparePositions, type Position, positionTime } from "../../../store/mod.ts";
import {
  assertOrder,
  type BrokerContract,
  contract,
  Counted,
  counted,
  groupOf,
  Other,
  sleep,
  STREAM,
  until,
  within,
} from "../../_broker_bench.ts";

export const reading: readonly BrokerContract[] = [
  contract("28", "history() reads between positions and dates, with limit and in reverse", async (bench) => {
    const broker = await bench.broker();
    const events = counted(6);
    await broker.publish(events.slice(0, 3));
    await until(() => Date.now() > positionTime(events[2]!.position!) + 1, "the clock has moved on");
    await broker.publish(events.slice(3));
    const at = (n: number) => events[n]!.position!;
    const [early, late] = [new Date(positionTime(at(0))), new Date(positionTime(at(3)))];
    const read = (options: Parameters<typeof broker.history>[1]) => Array.fromAsync(broker.history(Counted, options));
    const cases: [Parameters<typeof broker.history>[1], Counted[]][] = [
      [{}, events],
      [{ from: at(2) }, events.slice(2)],
      [{ after: at(2) }, events.slice(3)],
      [{ from: at(1), after: at(3) }, events.slice(4)],
      [{ to: at(2) }, events.slice(0, 3)],
      [{ from: at(1), to: at(4) }, events.slice(1, 5)],
      [{ from: early }, events],
      [{ from: late }, events.slice(3)],
      [{ to: early }, events.slice(0, 3)],
      [{ from: new Date(Date.now() + 60_000) }, []],
      [{ to: new Date(0) }, []],
      [{ limit: 2 }, events.slice(0, 2)],
      [{ limit: 0 }, []],
      [{ reverse: true }, [...events].reverse()],
      [{ reverse: true, limit: 2 }, [events[5]!, events[4]!]],
      [{ reverse: true, from: at(1), to: at(3) }, [events[3]!, events[2]!, events[1]!]],
      [{ reverse: true, after: at(3) }, [events[5]!, events[4]!]],
    ];
    for (const [options, expected] of cases) assertOrder(await read(options), expected);
    const [first] = await read({ limit: 1 });
    assertEquals(first!.toCloudEvent(), events[0]!.toCloudEvent());
    assert(first instanceof Counted);
    assertEquals((await broker.info(Counted)).groups, []);
  }),

  contract("28", "history() ends where the stream ended when it was called", async (bench) => {
    const broker = await bench.broker();
    assertEquals(await Array.fromAsync(broker.history(Counted)), []);
    const events = counted(1_200);
    for (let at = 0; at < 1_200; at += 400) await broker.publish(events.slice(at, at + 400));
    const got: Counted[] = [];
    const history = broker.history(Counted);
    const backwards = broker.history(Counted, { reverse: true, limit: 10 });
    // Events published after the call are not in it, whenever it is read.
    await sleep(5);
    let n = 1_200;
    for await (const event of history) {
      got.push(event);
      if (got.length % 100 === 0) await broker.publish(counted(50, n += 50));
    }
    assertOrder(got, events);
    assertOrder(await Array.fromAsync(backwards), events.slice(-10).reverse());
  }),

  contract("28", "history() pages through tens of thousands of events", async (bench) => {
    const broker = await bench.broker();
    const all: string[] = [];
    for (let batch = 0; batch < 40; batch++) {
      const events = counted(500, batch * 500);
      await broker.publish(events);
      all.push(...events.map(({ id }) => id));
    }
    let n = 0;
    for await (const { id, detail } of broker.history(Counted)) {
      assert(id === all[n] && detail.n === n, `At ${n} there is ${detail.n}`);
      n++;
    }
    assertEquals(n, 20_000);
    for await (const { id } of broker.history(Counted, { reverse: true })) assert(id === all[--n]);
    assertEquals(n, 0);
  }),

  contract("28", "history() merges several types by position", async (bench) => {
    const broker = await bench.connect([Counted, Other]);
    for (let n = 0; n < 40; n++) {
      await broker.publish(n % 3 === 0 ? new Counted({ n }) : new Other({ n }));
      if (n % 5 === 0) await sleep(1);
    }
    const merged = await Array.fromAsync(broker.history([Counted, Other]));
    const inOrder = (events: readonly (Counted | Other)[], sign: number) => {
      assert(events.every(({ position }, i) => {
        return i === 0 || sign * comparePositions(events[i - 1]!.position!, position!) <= 0;
      }));
    };
    assertEquals(
      merged.map(({ detail }) => detail.n).toSorted((a, b) => a - b),
      Array.from({ length: 40 }, (_, n) => n),
    );
    inOrder(merged, 1);
    const backwards = await Array.fromAsync(broker.history([Counted, Other], { reverse: true, limit: 7 }));
    assertEquals(backwards.length, 7);
    inOrder(backwards, -1);
    assertEquals(
      backwards.map(({ position }) => position),
      merged.map(({ position }) => position).reverse().slice(0, 7),
    );
    const middle = merged[20]!.position!;
    const rest = await Array.fromAsync(broker.history([Other, Counted], { from: middle }));
    inOrder(rest, 1);
    assertEquals(rest.length, merged.filter(({ position }) => comparePositions(position!, middle) >= 0).length);
  }),

  contract("28", "history() follows new events until the loop ends or the signal aborts", async (bench) => {
    const broker = await bench.connect([Counted, Other]);
    const publisher = await bench.broker();
    const before = counted(3);
    await publisher.publish(before);
    const got: Counted[] = [];
    const later = counted(3, 3);
    const following = (async () => {
      for await (const event of broker.history(Counted, { after: before[0]!.position!, follow: true })) {
        got.push(event);
        if (got.length === 5) break;
      }
    })();
    await until(() => got.length === 2, "the stored events were read");
    for (const event of later) await publisher.publish(event);
    await within(following, "the end");
    assertOrder(got, [...before.slice(1), ...later]);
    const limited = await Array.fromAsync(broker.history([Counted, Other], { follow: true, limit: 6 }));
    assertOrder(limited, [...before, ...later]);
    for (const types of [[Counted], [Counted, Other]]) {
      const controller = new AbortController();
      const reason = new Error("enough");
      const reading = broker.history(types, { follow: true, from: later[2]!.position!, signal: controller.signal });
      assertEquals((await reading.next()).value!.id, later[2]!.id);
      const next = reading.next();
      next.catch(() => {});
      assertEquals(await Promise.race([next, sleep(20)]), undefined);
      controller.abort(reason);
      assert(await within(next.catch((error) => error), "the abort") === reason);
      assertEquals((await reading.next()).done, true);
    }
  }),

  contract("28", "history() stops at once when its signal aborts", async (bench) => {
    const broker = await bench.connect([Counted, Other]);
    await broker.publish(counted(500));
    await broker.publish(new Other({ n: 1 }));
    for (const types of [[Counted], [Counted, Other]]) {
      const controller = new AbortController();
      const reason = new Error("enough");
      let count = 0;
      const error = await assertRejects(async () => {
        for await (const _ of broker.history(types, { signal: controller.signal })) {
          if (++count === 10) controller.abort(reason);
        }
      });
      assert(error === reason);
      assertEquals(count, 10);
      const aborted = broker.history(types, { signal: AbortSignal.abort(reason) });
      assert(await aborted.next().catch((error) => error) === reason);
    }
  }),

  contract("24, 28", "history() stops at an undecodable entry, and can go on after it", async (bench) => {
    const broker = await bench.broker();
    const events = counted(4);
    await broker.publish(events.slice(0, 2));
    const [position] = await (await bench.store()).append(STREAM, [["payload", "no json"]]);
    await broker.publish(events.slice(2));
    const got: Counted[] = [];
    const error = await assertRejects(async () => {
      for await (const event of broker.history(Counted)) got.push(event);
    }, UndecodableError);
    assertEquals([error.position, { ...error.raw }], [position, { payload: "no json" }]);
    got.push(...await Array.fromAsync(broker.history(Counted, { after: error.position })));
    assertOrder(got, events);
  }, "store"),

  contract("28", "replay() gives a handler one event after the other and moves no group", async (bench) => {
    const broker = await bench.broker();
    const events = counted(20);
    await broker.publish(events);
    const subscription = await broker.subscribe(Counted, () => {}, { group: "group", startFrom: "now" });
    const before = await groupOf(broker, Counted);
    const got: Counted[] = [];
    let running = 0;
    const count = await broker.replay(Counted, async (event) => {
      assertEquals(++running, 1);
      await sleep(0);
      got.push(event);
      running--;
    }, { from: events[5]!.position!, limit: 10 });
    assertEquals(count, 10);
    assertOrder(got, events.slice(5, 15));
    assertEquals(await groupOf(broker, Counted), before);
    await assertRejects(
      () => broker.replay(Counted, ({ detail }) => assert(detail.n < 3, "no further")),
      Error,
      "no further",
    );
    await subscription.close();
  }),

  contract("29", "rewind() makes a consuming group read again and refuses earlier deliveries", async (bench) => {
    const broker = await bench.broker();
    const rivals = [await bench.broker(), await bench.broker()];
    const handled = new Map<string, number>();
    const settledLate: Position[] = [];
    for (const rival of rivals) {
      const subscription = await rival.subscribe(Counted, async (event) => {
        await sleep(event.detail.n % 7 === 0 ? 3 : 0);
        handled.set(event.id, (handled.get(event.id) ?? 0) + 1);
      }, { group: "group", concurrency: 3, lease: 300 });
      subscription.addEventListener("leaselost", ({ position }) => settledLate.push(position));
    }
    const events = counted(300);
    await broker.publish(events);
    await until(() => handled.size >= 150, "half of the events are handled");
    const to = events[50]!.position!;
    const before = new Map(handled);
    const { first } = await broker.rewind(Counted, { group: "group", to });
    assertEquals(first, to);
    await until(async () => {
      const { pending, lag } = await groupOf(broker, Counted);
      return pending === 0 && lag === 0;
    }, "all events are settled");
    const again = events.filter(({ id }, n) => (handled.get(id) ?? 0) > (n >= 50 ? before.get(id) ?? 0 : 0));
    assertOrder(again, events);
    assert(settledLate.every((position) => comparePositions(position, to) >= 0));
    // No event before the position came again.
    for (const { id } of events.slice(0, 50)) assertEquals(handled.get(id), 1);
  }),

  contract(
    "29",
    "rewind() moves to the beginning, to now, to a date, and names the existing groups",
    async (bench) => {
      const broker = await bench.broker();
      const events = counted(3);
      await broker.publish(events);
      await until(() => Date.now() > positionTime(events[2]!.position!) + 1, "the clock has moved on");
      const date = new Date();
      await broker.publish(events[3] ?? counted(1, 3)[0]!);
      await (await broker.subscribe(Counted, () => {}, { group: "group", startFrom: "now" })).close();
      const lagAfter = async (to: Parameters<typeof broker.rewind>[1]["to"]) => {
        const { dropped } = await broker.rewind(Counted, { group: "group", to });
        assertEquals(dropped, 0);
        return (await groupOf(broker, Counted)).lag;
      };
      assertEquals(await lagAfter("beginning"), 4);
      assertEquals(await lagAfter("now"), 0);
      assertEquals(await lagAfter(date), 1);
      assertEquals(await lagAfter(events[1]!.position!), 3);
      await assertRejects(() => broker.rewind(Counted, { group: "gruop", to: "now" }), RangeError, '"group"');
    },
  ),
];
