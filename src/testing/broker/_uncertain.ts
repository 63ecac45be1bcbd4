import { assert, assertEquals, assertRejects } from "@std/assert";
import { type EventBroker, PublishTimeoutError, UncertainPublishError } from "../../broker/mod.ts";
import { StoreError } from "../../store/mod.ts";
import {
  assertOrder,
  assertSame,
  type BrokerBench,
  type BrokerContract,
  contract,
  Counted,
  counted,
  Gate,
  sleep,
  until,
} from "../_broker_bench.ts";
import { type AppendCall, FaultyStore } from "../_faulty_store.ts";

interface Spoilt {
  readonly broker: EventBroker<typeof Counted>;
  readonly faulty: FaultyStore;
}

async function spoilt(bench: BrokerBench, publishTimeout = 10_000): Promise<Spoilt> {
  let faulty: FaultyStore | undefined;
  const options = { events: [Counted], publishTimeout };
  const broker = await bench.over((store) => faulty = new FaultyStore(store), options);
  return { broker, faulty: faulty! };
}

const stored = ({ broker }: Spoilt) => Array.fromAsync(broker.history(Counted));

/** Publishes until stored: an uncertain publish and a failed one can both be repeated. */
async function insist<T>(publish: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await publish();
    } catch (error) {
      const repeatable = error instanceof UncertainPublishError || /nothing was stored/.test(`${error}`);
      if (!repeatable) throw error;
    }
  }
}

/** Publishes five batches of 125, all in flight at once. */
function five(broker: EventBroker<typeof Counted>, events: readonly Counted[]): Promise<unknown>[] {
  return events.map((event) => broker.publish(event));
}

/** Makes the calls with these numbers fail, counted from 1. */
function spoil(faulty: FaultyStore, numbers: readonly number[], how: (call: AppendCall) => void): void {
  let number = 0;
  faulty.onAppend = (call) => {
    if (numbers.includes(++number)) how(call);
  };
}

const DAMAGES: Readonly<Record<string, (call: AppendCall) => void>> = {
  "loses the answer": (call) => call.lose(),
  "loses the call": (call) => call.miss(),
  "refuses for now": (call) => call.refuse(new StoreError("transient", "loading")),
};

const lost = Object.entries(DAMAGES).flatMap(([title, damage]) => [
  contract("30", `publish() doubles and reorders nothing when the store ${title} of one batch`, async (bench) => {
    for (const numbers of [[1], [1, 2], [1, 2, 3]]) {
      const it = await spoilt(bench);
      const before = (await stored(it)).length;
      spoil(it.faulty, numbers, damage);
      const [event] = counted(1);
      const position = await it.broker.publish(event!);
      assertEquals((await stored(it)).slice(before).map(({ id, position }) => [id, position]), [[event!.id, position]]);
    }
  }, "store"),

  contract(
    "30",
    `publish() never repeats or reorders events when the store ${title} of some of five batches`,
    async (bench) => {
      let known = 0;
      for (const numbers of [[1], [3], [5], [1, 2, 3, 4, 5], [2, 4], [2, 5, 6, 7], [3, 8, 9]]) {
        const it = await spoilt(bench);
        spoil(it.faulty, numbers, damage);
        const events = counted(625);
        const publishing = five(it.broker, events);
        await Promise.all(publishing);
        const later = counted(1, 625);
        await it.broker.publish(later[0]!);
        assertOrder((await stored(it)).slice(known), [...events, ...later]);
        known += 626;
      }
    },
    "store",
  ),
]);

export const uncertain: readonly BrokerContract[] = [
  ...lost,

  contract("30", "publish() never repeats or reorders events under random faults", async (bench) => {
    const it = await spoilt(bench);
    let random = 42;
    const next = () => random = random * 48_271 % 2_147_483_647;
    let failures = 0;
    it.faulty.onAppend = (call) => {
      const dice = next() % 10;
      if (failures < 40 && dice < 4) {
        failures++;
        Object.values(DAMAGES)[dice % 3]!(call);
      }
      if (dice === 5) call.before = sleep(2);
      if (dice === 6) call.after = sleep(3);
    };
    const events = counted(3_000);
    const publishing: Promise<unknown>[] = [];
    for (const [i, event] of events.entries()) {
      publishing.push(it.broker.publish(event));
      if (next() % 100 === 0) await sleep(i % 3);
    }
    await Promise.all(publishing);
    assertOrder(await stored(it), events);
    assert(failures > 0, "No call failed");
  }, "store"),

  contract("30", "publish() rejects as uncertain without a reply, and finds out later", async (bench) => {
    const it = await spoilt(bench, 100);
    const gate = new Gate();
    it.faulty.onAppend = (call) => call.after = gate.opened;
    const [event, behind] = counted(2);
    const error = await assertRejects(() => it.broker.publish(event!), UncertainPublishError);
    assert(error.message.startsWith("Cannot tell") && error.message.includes(event!.id), error.message);
    assertEquals(error.ids, [event!.id]);
    const again = insist(() => it.broker.publish(event!));
    it.faulty.onAppend = undefined;
    gate.open();
    const position = await again;
    await insist(() => it.broker.publish(behind!));
    assertEquals((await stored(it)).map(({ id, position }) => [id, position]), [
      [event!.id, position],
      [behind!.id, behind!.position],
    ]);
  }, "store"),

  for30("what became of an event that was stored, by publishing it again", "lose"),
  for30("what became of an event that was not stored, and stores it then", "miss"),

  contract(
    "30",
    "publish() of five unanswered batches can be repeated, event by event and as arrays",
    async (bench) => {
      for (const damage of ["lose", "miss"] as const) {
        const it = await spoilt(bench, 120);
        const before = (await stored(it)).length;
        it.faulty.onAppend = (call) => call[damage]();
        const events = counted(625);
        const results = await Promise.allSettled(five(it.broker, events));
        assert(results.every((result) => result.status === "rejected" && result.reason instanceof Error));
        it.faulty.onAppend = undefined;
        const again = events.map((event) => insist(() => it.broker.publish(event)));
        const positions = await Promise.all(again);
        const found = (await stored(it)).slice(before);
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
    const it = await spoilt(bench, 80);
    it.faulty.onAppend = (call) => call.refuse(new StoreError("transient", "locked"));
    const events = counted(3);
    for (const result of await Promise.allSettled(events.map((event) => it.broker.publish(event)))) {
      assert(result.status === "rejected" && result.reason instanceof PublishTimeoutError, "nothing was stored");
    }
    it.faulty.onAppend = undefined;
    await insist(() => it.broker.publish([...events].reverse()));
    assertOrder(await stored(it), [...events].reverse());
  }, "store"),

  contract(
    "30",
    "publish() stays uncertain and appends nothing when the store has forgotten the producer",
    async (bench) => {
      const it = await spoilt(bench, 5_000);
      await it.broker.publish(counted(1)[0]!);
      let calls = 0;
      it.faulty.onAppend = (call) => {
        calls++;
        if (calls === 1) call.miss();
        else call.refuse(calls === 2 ? new StoreError("forgotten", "unknown producer") : undefined);
      };
      const [event] = counted(1);
      await assertRejects(() => it.broker.publish(event!), UncertainPublishError);
      await assertRejects(() => it.broker.publish(event!), UncertainPublishError);
      assertEquals((await stored(it)).length, 1);
      const [next] = counted(1);
      await it.broker.publish(next!);
      assertEquals((await stored(it)).at(-1)!.id, next!.id);
    },
    "store",
  ),

  contract("30, 32", "close() rejects a publish that has no reply", async (bench) => {
    const it = await spoilt(bench, 50);
    const gate = new Gate();
    let asked = false;
    it.faulty.onAppend = (call) => {
      asked = true;
      call.after = gate.opened;
    };
    const [event] = counted(1);
    const publishing = it.broker.publish(event!);
    await until(() => asked, "the store was asked");
    const closing = it.broker.close();
    await assertRejects(() => publishing, UncertainPublishError);
    gate.open();
    await closing;
  }, "store"),
];

function for30(what: string, damage: "lose" | "miss"): BrokerContract {
  return contract("30", `publish() finds out ${what}`, async (bench) => {
    const it = await spoilt(bench, 100);
    it.faulty.onAppend = (call) => call[damage]();
    const [event, other] = counted(2);
    await assertRejects(() => it.broker.publish(event!), UncertainPublishError);
    // The outcome is still unknown: repeating stays uncertain, also for two repeats at once.
    await assertRejects(() => it.broker.publish(event!), UncertainPublishError);
    it.faulty.onAppend = undefined;
    const [one, two, many] = await Promise.all([
      insist(() => it.broker.publish(event!)),
      insist(() => it.broker.publish(event!)),
      insist(() => it.broker.publish([event!, other!])),
    ]);
    assertEquals([one, one], [two, many[0]!]);
    assertSame(await stored(it), [event!, other!]);
  }, "store");
}
