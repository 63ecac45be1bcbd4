import { assert, assertEquals, assertRejects } from "@std/assert";
import { type BrokerOptions, PublishQueueFullError, UncertainPublishError } from "../../../broker/mod.ts";
import type { DomainEvent } from "../../../events/mod.ts";
import { StoreError } from "../../../store/mod.ts";
import {
  assertOrder,
  assertSame,
  type BrokerBench,
  type BrokerContract,
  contract,
  Counted,
  counted,
  Gate,
  insist,
  Other,
} from "../../_broker_bench.ts";
import { FaultyStore } from "../../_faulty_store.ts";

/** A broker whose store does nothing until the gate opens. */
async function stopped(bench: BrokerBench, options: Omit<BrokerOptions<typeof Counted>, "events">) {
  let faulty: FaultyStore | undefined;
  const broker = await bench.over((store) => faulty = new FaultyStore(store), { ...options, events: [Counted, Other] });
  const gate = new Gate();
  faulty!.onAppend = (call) => call.before = gate.opened;
  return { broker, gate, faulty: faulty! };
}

export const queueing: readonly BrokerContract[] = [
  contract("30, 31", "publish() refuses events beyond maxQueued at once, and accepts them later", async (bench) => {
    const { broker, gate } = await stopped(bench, { maxQueued: 3_000 });
    const events = counted(3_000);
    const publishing = [
      ...events.slice(0, 1_500).map((event) => broker.publish(event)),
      ...[0, 1, 2].map((n) => broker.publish(events.slice(1_500 + 500 * n, 2_000 + 500 * n))),
    ];
    const late: DomainEvent[] = [...counted(3, 3_000), new Other({ n: 0 })];
    const [one, two, three, other] = late as [Counted, Counted, Counted, Other];
    for (const refused of [() => broker.publish(one), () => broker.publish([two, three])]) {
      const error = await assertRejects(refused, PublishQueueFullError);
      assertEquals(error.name, "PublishQueueFullError");
      assertEquals(
        error.message,
        "Cannot publish to events:Counted: 3000 events wait for the store already; " +
          "wait for earlier publishes, or raise maxQueued",
      );
    }
    await assertRejects(() => broker.publish([two, other]), PublishQueueFullError, "events:Counted, events:Other");
    assertEquals(late.map(({ position }) => position), late.map(() => undefined));
    // Accepted publishes are stored in order, and nothing else is.
    gate.open();
    await Promise.all(publishing);
    assertOrder(await Array.fromAsync(broker.history(Counted)), events);
    assertEquals((await broker.info(Other)).length, 0);
    await Promise.all([broker.publish(one), broker.publish([two, other]), broker.publish(three)]);
    assertOrder(await Array.fromAsync(broker.history(Counted)), [...events, one, two, three]);
    assertOrder(await Array.fromAsync(broker.history(Other)), [other]);
  }, "store"),

  contract("30, 31", "publish() refuses events beyond maxQueuedBytes", async (bench) => {
    const { broker, gate } = await stopped(bench, { maxQueuedBytes: 1_000_000 });
    const events = Array.from({ length: 10 }, (_, n) => new Counted({ n, key: "x".repeat(150_000) }));
    const results = Promise.allSettled(events.map((event) => broker.publish(event)));
    const small = broker.publish(counted(1, 10)[0]!);
    gate.open();
    await small;
    const refused = (await results).filter((result) => result.status === "rejected").map(({ reason }) => reason);
    assertEquals(refused.length, 4);
    for (const error of refused) {
      assert(error instanceof PublishQueueFullError, `${error}`);
      assert(/: 6 events of 90\d{4} bytes wait .* or raise maxQueuedBytes$/.test(error.message), error.message);
    }
    assertEquals((await Array.fromAsync(broker.history(Counted))).map(({ detail }) => detail.n), [
      0,
      1,
      2,
      3,
      4,
      5,
      10,
    ]);
  }, "store"),

  contract(
    "30, 31",
    "publish() accepts one call when nothing waits, however low maxQueued is",
    async (bench) => {
      const broker = await bench.connect([Counted, Other], { maxQueued: 1, maxQueuedBytes: 1 });
      const events = [...counted(500), ...Array.from({ length: 500 }, (_, n) => new Other({ n }))];
      const first = broker.publish(events);
      const late = counted(1, 500)[0]!;
      await assertRejects(() => broker.publish(late), PublishQueueFullError);
      await first;
      await broker.publish(late);
      assertSame(await Array.fromAsync(broker.history([Counted, Other]) as AsyncIterable<DomainEvent>), [
        ...events,
        late,
      ]);
    },
  ),

  contract(
    "30, 31",
    "publish() frees the room of refused, withdrawn and timed-out events",
    async (bench) => {
      const { broker, gate, faulty } = await stopped(bench, { maxQueued: 10, publishTimeout: 50 });
      const full = async () => void await assertRejects(() => broker.publish(counted(1)[0]!), PublishQueueFullError);
      const reason = new Error("enough");

      // Refused by the store.
      faulty.onAppend = (call) => call.refuse(new Error("out of memory"));
      const events = counted(10);
      const results = Promise.allSettled(events.map((event) => broker.publish(event)));
      await full();
      assertEquals(new Set((await results).map(({ status }) => status)), new Set(["rejected"]));

      // Withdrawn, and never sent.
      faulty.onAppend = (call) => call.refuse(new StoreError("transient", "loading"));
      const controller = new AbortController();
      const withdrawn = Promise.allSettled(events.map((event) => broker.publish(event, { signal: controller.signal })));
      controller.abort(reason);
      assertEquals((await withdrawn).map((it) => it.status === "rejected" && it.reason), events.map(() => reason));
      faulty.onAppend = undefined;
      const [next] = counted(1, 100);
      await insist(() => broker.publish(next!));

      // Uncertain: it counts until the store has told the outcome.
      faulty.onAppend = (call) => call.after = gate.opened;
      const late = counted(10, 200);
      const uncertain = await Promise.allSettled(late.map((event) => broker.publish(event)));
      for (const it of uncertain) assert(it.status === "rejected" && it.reason instanceof UncertainPublishError);
      await full();
      gate.open();
      faulty.onAppend = undefined;
      assertEquals(
        await Promise.all(late.map((event) => insist(() => broker.publish(event)))),
        late.map(({ position }) => position!),
      );
      await Promise.all(counted(10, 300).map((event) => insist(() => broker.publish(event))));
      assertEquals((await broker.info(Counted)).length, 21);
    },
    "store",
  ),
];
