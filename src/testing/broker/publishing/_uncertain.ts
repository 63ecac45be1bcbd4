import { assert, assertEquals, assertRejects } from "@std/assert";
import { type EventBroker, PublishTimeoutError, UncertainPublishError } from "../../../broker/mod.ts";
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
  sleep,
  until,
} from "../../_broker_bench.ts";
import { type AppendCall, FaultyStore } from "../../_faulty_store.ts";

interface FaultyBroker {
  readonly broker: EventBroker<typeof Counted>;
  readonly faulty: FaultyStore;
}

async function openFaulty(bench: BrokerBench, publishTimeout = 10_000): Promise<FaultyBroker> {
  let faulty: FaultyStore | undefined;
  const options = { events: [Counted], publishTimeout };
  const broker = await bench.over((store) => faulty = new FaultyStore(store), options);
  return { broker, faulty: faulty! };
}

const stored = (broker: EventBroker<typeof Counted>) => Array.fromAsync(broker.history(Counted));

/** Publishes the events one by one without waiting; 625 make five batches. */
function publishEach(broker: EventBroker<typeof Counted>, events: readonly Counted[]): Promise<unknown>[] {
  return events.map((event) => broker.publish(event));
}

/** Makes the calls with these numbers fail, counted from 1. */
function failCalls(faulty: FaultyStore, numbers: readonly number[], how: (call: AppendCall) => void): void {
  let number = 0;
  faulty.onAppend = (call) => {
    if (numbers.includes(++number)) how(call);
  };
}

const FAULTS: Readonly<Record<string, (call: AppendCall) => void>> = {
  "the reply is lost": (call) => call.lose(),
  "the call is lost": (call) => call.miss(),
  "the store is loading": (call) => call.refuse(new StoreError("transient", "loading")),
};

const lost = Object.entries(FAULTS).flatMap(([when, fault]) => [
  contract("30", `publish() stores each event once and in order when ${when} at one batch`, async (bench) => {
    for (const numbers of [[1], [1, 2], [1, 2, 3]]) {
      const { broker, faulty } = await openFaulty(bench);
      const before = (await stored(broker)).length;
      failCalls(faulty, numbers, fault);
      const [event] = counted(1);
      const position = await broker.publish(event!);
      assertEquals((await stored(broker)).slice(before).map(({ id, position }) => [id, position]), [[
        event!.id,
        position,
      ]]);
    }
  }, "store"),

  contract(
    "30",
    `publish() stores each event once and in order when ${when} at some of five batches`,
    async (bench) => {
      let known = 0;
      for (const numbers of [[1], [3], [5], [1, 2, 3, 4, 5], [2, 4], [2, 5, 6, 7], [3, 8, 9]]) {
        const { broker, faulty } = await openFaulty(bench);
        failCalls(faulty, numbers, fault);
        const events = counted(625);
        const publishing = publishEach(broker, events);
        await Promise.all(publishing);
        const later = counted(1, 625);
        await broker.publish(later[0]!);
        assertOrder((await stored(broker)).slice(known), [...events, ...later]);
        known += 626;
      }
    },
    "store",
  ),
]);

export const uncertain: readonly BrokerContract[] = [
  ...lost,

  contract("30", "publish() stores each event once and in order under random faults", async (bench) => {
    const { broker, faulty } = await openFaulty(bench);
    let random = 42;
    const next = () => random = random * 48_271 % 2_147_483_647;
    let failures = 0;
    faulty.onAppend = (call) => {
      const dice = next() % 10;
      if (failures < 40 && dice < 4) {
        failures++;
        Object.values(FAULTS)[dice % 3]!(call);
      }
      if (dice === 5) call.before = sleep(2);
      if (dice === 6) call.after = sleep(3);
    };
    const events = counted(3_000);
    const publishing: Promise<unknown>[] = [];
    for (const [i, event] of events.entries()) {
      publishing.push(broker.publish(event));
      if (next() % 100 === 0) await sleep(i % 3);
    }
    await Promise.all(publishing);
    assertOrder(await stored(broker), events);
    assert(failures > 0, "No call failed");
  }, "store"),

  contract(
    "30",
    "publish() rejects as uncertain without a reply, and a repeat resolves with the position",
    async (bench) => {
      const { broker, faulty } = await openFaulty(bench, 100);
      const gate = new Gate();
      faulty.onAppend = (call) => call.after = gate.opened;
      const [event, behind] = counted(2);
      const error = await assertRejects(() => broker.publish(event!), UncertainPublishError);
      assert(error.message.startsWith("Cannot tell") && error.message.includes(event!.id), error.message);
      assertEquals(error.ids, [event!.id]);
      const again = insist(() => broker.publish(event!));
      faulty.onAppend = undefined;
      gate.open();
      const position = await again;
      await insist(() => broker.publish(behind!));
      assertEquals((await stored(broker)).map(({ id, position }) => [id, position]), [
        [event!.id, position],
        [behind!.id, behind!.position],
      ]);
    },
    "store",
  ),

  repeated("resolves with the position of an event whose reply was lost", "lose"),
  repeated("stores an event that never reached the store", "miss"),

  contract(
    "30",
    "publish() of five unanswered batches can be repeated, event by event and as arrays",
    async (bench) => {
      for (const fault of ["lose", "miss"] as const) {
        const { broker, faulty } = await openFaulty(bench, 120);
        const before = (await stored(broker)).length;
        faulty.onAppend = (call) => call[fault]();
        const events = counted(625);
        const results = await Promise.allSettled(publishEach(broker, events));
        assert(results.every((result) => result.status === "rejected" && result.reason instanceof Error));
        faulty.onAppend = undefined;
        const again = events.map((event) => insist(() => broker.publish(event)));
        const positions = await Promise.all(again);
        const found = (await stored(broker)).slice(before);
        assertSame(found, events);
        assertEquals(
          new Map(found.map(({ id, position }) => [id, position])),
          new Map(events.map((event, i) => [event.id, positions[i]])),
        );
      }
    },
    "store",
  ),

  contract("30", "publish() says that nothing was stored when the store was unreachable", async (bench) => {
    const { broker, faulty } = await openFaulty(bench, 80);
    faulty.onAppend = (call) => call.refuse(new StoreError("transient", "locked"));
    const events = counted(3);
    for (const result of await Promise.allSettled(events.map((event) => broker.publish(event)))) {
      assert(result.status === "rejected" && result.reason instanceof PublishTimeoutError, "nothing was stored");
    }
    faulty.onAppend = undefined;
    await insist(() => broker.publish([...events].reverse()));
    assertOrder(await stored(broker), [...events].reverse());
  }, "store"),

  contract(
    "30",
    "publish() stays uncertain and appends nothing when the store has forgotten the producer",
    async (bench) => {
      const { broker, faulty } = await openFaulty(bench, 5_000);
      await broker.publish(counted(1)[0]!);
      let calls = 0;
      faulty.onAppend = (call) => {
        calls++;
        if (calls === 1) call.miss();
        else call.refuse(calls === 2 ? new StoreError("forgotten", "unknown producer") : undefined);
      };
      const [event] = counted(1);
      await assertRejects(() => broker.publish(event!), UncertainPublishError);
      await assertRejects(() => broker.publish(event!), UncertainPublishError);
      assertEquals((await stored(broker)).length, 1);
      const [next] = counted(1);
      await broker.publish(next!);
      assertEquals((await stored(broker)).at(-1)!.id, next!.id);
    },
    "store",
  ),

  contract("30, 32", "close() rejects a publish that has no reply", async (bench) => {
    const { broker, faulty } = await openFaulty(bench, 50);
    const gate = new Gate();
    let asked = false;
    faulty.onAppend = (call) => {
      asked = true;
      call.after = gate.opened;
    };
    const [event] = counted(1);
    const publishing = broker.publish(event!);
    await until(() => asked, "the store was asked");
    const closing = broker.close();
    await assertRejects(() => publishing, UncertainPublishError);
    gate.open();
    await closing;
  }, "store"),
];

function repeated(does: string, fault: "lose" | "miss"): BrokerContract {
  return contract("30", `publish() after an uncertain publish ${does}`, async (bench) => {
    const { broker, faulty } = await openFaulty(bench, 100);
    faulty.onAppend = (call) => call[fault]();
    const [event, other] = counted(2);
    await assertRejects(() => broker.publish(event!), UncertainPublishError);
    // The outcome is still unknown: repeating stays uncertain, also for two repeats at once.
    await assertRejects(() => broker.publish(event!), UncertainPublishError);
    faulty.onAppend = undefined;
    const [one, two, many] = await Promise.all([
      insist(() => broker.publish(event!)),
      insist(() => broker.publish(event!)),
      insist(() => broker.publish([event!, other!])),
    ]);
    assertEquals([one, one], [two, many[0]!]);
    assertSame(await stored(broker), [event!, other!]);
  }, "store");
}
