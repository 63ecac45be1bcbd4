import { assert, assertEquals } from "@std/assert";
import type { BrokerErrorEvent, ReconnectEvent } from "../../../broker/mod.ts";
import { StoreError } from "../../../store/mod.ts";
import {
  assertOrder,
  type BrokerContract,
  contract,
  Counted,
  counted,
  Other,
  Seen,
  STREAM,
  told,
  until,
} from "../../_broker_bench.ts";
import { FaultyStore } from "../../_faulty_store.ts";

export const live: readonly BrokerContract[] = [
  contract("33", "addEventListener() receives later events of every broker once", async (bench) => {
    const [broker, other] = [await bench.broker(), await bench.broker()];
    await broker.publish(counted(5));
    const [mine, theirs] = [new Seen<Counted>(), new Seen<Counted>()];
    broker.addEventListener("Counted", mine.handler);
    other.addEventListener("Counted", theirs.handler);
    const events = counted(100);
    // The other broker must be listening too: its own publish waits for that.
    await other.publish(events[0]!);
    for (const [i, event] of events.slice(1).entries()) await (i % 2 ? broker : other).publish(event);
    for (const seen of [mine, theirs]) {
      await seen.count(100);
      assertOrder(seen.ids, events);
      assert(seen.events.every((event) => event instanceof Counted));
    }
    assertEquals(mine.events[3]!.toCloudEvent(), events[3]!.toCloudEvent());
  }),

  contract("33", "addEventListener() receives an event published in the same turn", async (bench) => {
    for (let round = 0; round < 20; round++) {
      const broker = await bench.broker();
      if (round % 2 === 0) await broker.publish(counted(1)[0]!);
      const seen = new Seen<Counted>();
      broker.addEventListener("Counted", seen.handler);
      const [event] = counted(1);
      await broker.publish(event!);
      await seen.count(1);
      assertOrder(seen.ids, [event!]);
      await broker.close();
    }
  }),

  contract("33", "addEventListener() supports once, signal, listener objects and removal", async (bench) => {
    const broker = await bench.connect([Counted, Other]);
    const controller = new AbortController();
    const [all, once, until3, removed, object, others] = Array.from({ length: 6 }, () => new Seen());
    broker.addEventListener("Counted", all!.handler);
    broker.addEventListener("Counted", all!.handler);
    broker.addEventListener("Counted", once!.handler, { once: true });
    broker.addEventListener("Counted", until3!.handler, { signal: controller.signal });
    broker.addEventListener("Counted", removed!.handler);
    broker.addEventListener("Counted", { handleEvent: object!.handler });
    broker.addEventListener("Other", others!.handler);
    broker.removeEventListener("Counted", removed!.handler);
    const events = counted(6);
    await broker.publish(events.slice(0, 3));
    await all!.count(3);
    controller.abort();
    await broker.publish(events.slice(3));
    await all!.count(6);
    const heard = [all, once, until3, removed, object, others].map((seen) => seen!.events.length);
    assertEquals(heard, [6, 1, 3, 0, 6, 0]);
  }),

  contract("33", "addEventListener() isolates a listener that throws", async (bench) => {
    const broker = await bench.broker();
    const errors = told<BrokerErrorEvent>(broker, "error");
    const seen = new Seen<Counted>();
    broker.addEventListener("Counted", ({ detail: { n } }) => {
      if (n === 1) throw new Error("thrown");
    });
    broker.addEventListener("Counted", async ({ detail: { n } }) => {
      await Promise.resolve();
      if (n === 2) throw new Error("rejected");
    });
    broker.addEventListener("Counted", seen.handler);
    const events = counted(5);
    await broker.publish(events);
    await seen.count(5);
    await until(() => errors.length === 2, "both errors are reported");
    assertOrder(seen.ids, events);
    assertEquals(errors.map(({ error }) => (error as Error).message), ["thrown", "rejected"]);
  }),

  contract("24, 33", "addEventListener() reports an undecodable entry and goes on", async (bench) => {
    const broker = await bench.broker();
    const undecodable = told<BrokerErrorEvent>(broker, "undecodable");
    const seen = new Seen<Counted>();
    broker.addEventListener("Counted", seen.handler);
    const events = counted(2);
    await broker.publish(events[0]!);
    const [position] = await (await bench.store()).append(STREAM, [["payload", "["]]);
    await broker.publish(events[1]!);
    await seen.count(2);
    assertOrder(seen.ids, events);
    assertEquals(undecodable.map(({ error }) => (error as { position?: string }).position), [position]);
  }, "store"),

  contract("33", "addEventListener() loses and repeats no event over a reconnect", async (bench) => {
    let faulty: FaultyStore | undefined;
    const broker = await bench.over((store) => faulty = new FaultyStore(store), { events: [Counted] });
    const publisher = await bench.broker();
    const reconnects = told<ReconnectEvent>(broker, "reconnect");
    const seen = new Seen<Counted>();
    broker.addEventListener("Counted", seen.handler);
    const events = counted(30);
    await broker.publish(events[0]!);
    for (let at = 1; at < 30; at++) {
      const failing = at % 10 === 5;
      const before = reconnects.length;
      if (failing) faulty!.readFailure = new StoreError("transient", "the connection was lost");
      await publisher.publish(events[at]!);
      if (failing) await until(() => reconnects.length > before, "the listener has noticed the loss");
      faulty!.readFailure = undefined;
    }
    await seen.count(30);
    assertOrder(seen.ids, events);
    assert(reconnects.every(({ error, delay }) => error instanceof StoreError && delay > 0));
  }, "store"),

  contract("33", "addEventListener() passes correlation on to events its listener publishes", async (bench) => {
    const broker = await bench.connect([Counted, Other]);
    broker.addEventListener("Counted", ({ detail: { n } }) => void broker.publish(new Other({ n })));
    const cause = counted(1)[0]!;
    const effects = new Seen<Other>();
    broker.addEventListener("Other", effects.handler);
    await broker.publish(cause);
    await effects.count(1);
    assertEquals([effects.events[0]!.correlationId, effects.events[0]!.causationId], [cause.id, cause.id]);
  }),
];
