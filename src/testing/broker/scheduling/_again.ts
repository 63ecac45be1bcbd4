import { assert, assertEquals, assertGreater, assertRejects } from "@std/assert";
import type { EventBroker, ScheduleRule } from "../../../broker/mod.ts";
import { defineEvent } from "../../../events/mod.ts";
import { type BrokerBench, type BrokerContract, contract, told, until } from "../../_broker_bench.ts";
import { FrozenStore } from "../../_frozen_store.ts";

class Ticked extends defineEvent("Ticked", { subject: "by" })<{ by: string; at: number }> {}

type Broker = EventBroker<typeof Ticked>;

const events = [Ticked];
const HOUR = 3_600_000;

const by = (name: string) => ({ time }: { readonly time: Date }) => new Ticked({ by: name, at: time.getTime() });

/** The times of the published ticks, in their order. */
async function ticks(broker: Broker): Promise<number[]> {
  return (await Array.fromAsync(broker.history(Ticked))).map(({ detail }) => detail.at);
}

/** Waits until so many ticks were published. */
async function published(broker: Broker, count: number): Promise<number[]> {
  let found: number[] = [];
  await until(async () => (found = await ticks(broker)).length >= count, `${count} ticks were published`);
  return found;
}

const distinct = (times: readonly number[]) => assertEquals(new Set(times).size, times.length, "no tick comes twice");

/** The time of the store, which a schedule of this broker tells. */
async function timeOf(bench: BrokerBench): Promise<number> {
  return (await (await bench.store()).state("events:clock", "clock").read()).now;
}

export const again: readonly BrokerContract[] = [
  contract("50", "schedule() publishes each tick once over all brokers, at equal distances", async (bench) => {
    const brokers = [await bench.connect(events), await bench.connect(events), await bench.connect(events)];
    await Promise.all(brokers.map((broker, n) => broker.schedule("tick", { every: 100 }, by(`${n}`))));
    const times = await published(brokers[0]!, 5);
    distinct(times);
    for (const [nth, time] of times.entries()) assertEquals((time - times[0]!) % 100, 0, `tick ${nth}`);
    assertEquals(times, times.toSorted((a, b) => a - b));
    const [schedule, ...others] = await brokers[1]!.schedules();
    assertEquals([schedule!.name, schedule!.every, schedule!.missed, others], ["tick", 100, "once", []]);
    assertGreater(schedule!.published, 4);
    assert(schedule!.next! > schedule!.last!);
  }),

  contract("50", "removeSchedule() ends a schedule in all brokers, and it can be added again", async (bench) => {
    const [broker, other] = [await bench.connect(events), await bench.connect(events)];
    for (const each of [broker, other]) await each.schedule("tick", { every: 100 }, by("tick"));
    await published(broker, 2);
    assert(await other.removeSchedule("tick"));
    assertEquals(await broker.removeSchedule("tick"), false);
    assertEquals(await broker.schedules(), []);
    const before = await ticks(broker);
    for (let round = 0; round < 5; round++) {
      await broker.schedule("tick", { every: 100 + round }, by("tick"));
      assert(await other.removeSchedule("tick"));
    }
    await broker.schedule("tick", { every: 100 }, by("tick"));
    distinct(await published(broker, before.length + 3));
  }),

  contract("50", "schedule() changes the rule in all brokers, and the same rule changes nothing", async (bench) => {
    const [broker, other] = [await bench.connect(events), await bench.connect(events)];
    await broker.schedule("tick", { every: HOUR }, by("a"));
    const next = (await other.schedules())[0]!.next;
    await other.schedule("tick", { every: HOUR }, by("b"));
    assertEquals((await broker.schedules())[0]!.next, next);
    for (const every of [500, HOUR, 101, 100]) await other.schedule("tick", { every }, by("b"));
    const times = await published(broker, 3);
    distinct(times);
    for (const time of times) assertEquals((time - times[0]!) % 100, 0);
  }),

  contract("50", "schedule() by several brokers at once with different rules leaves one of them", async (bench) => {
    const brokers = await Promise.all(Array.from({ length: 4 }, () => bench.connect(events)));
    const rules: ScheduleRule[] = [{ every: 100 }, { every: 110 }, { cron: "* * * * * *" }, { every: 120 }];
    await Promise.all(brokers.map((broker, n) => broker.schedule("tick", rules[n]!, by(`${n}`))));
    const [schedule, ...others] = await brokers[0]!.schedules();
    assertEquals(others, []);
    const { every, cron } = schedule!;
    assert(rules.some((rule) => rule.every === every && rule.cron === cron), "it is one of the rules");
    distinct(await published(brokers[0]!, 3));
  }),

  contract("50", "another broker publishes the tick that a killed one has claimed, once", async (bench) => {
    const frozen: FrozenStore[] = [];
    const killed = await bench.over((store) => frozen[frozen.push(new FrozenStore(store)) - 1]!, { events });
    const other = await bench.connect(events);
    let calls = 0;
    await killed.schedule("tick", { every: 100 }, ({ time }) => {
      if (++calls === 3) frozen[0]!.freeze();
      return new Ticked({ by: "killed", at: time.getTime() });
    });
    await until(() => calls === 3, "it has died in the middle of its third tick");
    await other.schedule("tick", { every: 100 }, by("other"));
    const times = await published(other, 6);
    distinct(times);
    frozen[0]!.thaw();
    distinct(await published(other, times.length + 3));
  }, "store"),

  contract("50", "a factory that fails does not end its schedule, and is reported once", async (bench) => {
    const broker = await bench.connect(events);
    const errors = told<ErrorEvent>(broker, "error");
    let calls = 0;
    await broker.schedule("tick", { every: 100 }, ({ time }) => {
      if (++calls < 3) throw new Error("not yet");
      return new Ticked({ by: "me", at: time.getTime() });
    });
    distinct(await published(broker, 2));
    assertEquals(errors.length, 1);
  }),

  contract(
    "50",
    "missed ticks are left out, published as one, or published all, by the policy",
    async (bench) => {
      for (const [missed, expected] of [["skip", 0], ["once", 1], ["all", 10]] as const) {
        const prefix = missed;
        const start = await timeOf(bench);
        {
          await using broker = await bench.under.connect(events, { prefix });
          await broker.schedule("tick", { every: HOUR }, by("before"), { missed });
        }
        bench.clock.advance(10.5 * HOUR);
        const broker = await bench.connect(events, { prefix });
        await broker.schedule("tick", { every: HOUR }, by("after"), { missed });
        if (expected > 0) await published(broker, expected);
        bench.clock.advance(HOUR / 2);
        const times = await published(broker, expected + 1);
        distinct(times);
        const hours = times.map((time) => Math.round((time - start) / HOUR));
        const all = Array.from({ length: 11 }, (_, n) => n + 1);
        assertEquals(hours, missed === "all" ? all : missed === "once" ? [10, 11] : [11], missed);
      }
    },
    "clock",
    "store",
  ),

  contract("50, 34", "a schedule publishes no tick twice when the clock goes back", async (bench) => {
    const broker = await bench.connect(events);
    await broker.schedule("tick", { every: HOUR }, by("me"), { missed: "all" });
    bench.clock.advance(2 * HOUR);
    const times = await published(broker, 2);
    bench.clock.advance(-HOUR);
    bench.clock.advance(2 * HOUR);
    assertEquals((await published(broker, 3)).slice(0, 2), times);
    distinct(await ticks(broker));
  }, "clock"),

  contract(
    "50, 46",
    "a schedule goes on in a stream with partitions, also while their number changes",
    async (bench) => {
      const streams = { Ticked: { partitions: 2 } };
      const [broker, other] = [await bench.connect(events, { streams }), await bench.connect(events, { streams })];
      for (const each of [broker, other]) await each.schedule("tick", { every: 100 }, by("subject"));
      await published(broker, 2);
      await broker.repartition(Ticked, { partitions: 5 });
      const before = (await ticks(broker)).length;
      const times = await published(other, before + 3);
      distinct(times);
      const revisions = (await Array.fromAsync(broker.history(Ticked, { subject: "subject" }))).map(({ revision }) =>
        revision
      );
      assertEquals(revisions, revisions.map((_, nth) => nth + 1));
    },
  ),

  contract("50", "schedule() refuses bad input, and defines nothing", async (bench) => {
    const broker = await bench.connect(events);
    const refuse = async (rule: unknown, kind: ErrorConstructor, text: string, name: unknown = "tick", more = {}) => {
      await assertRejects(() => broker.schedule(name as string, rule as ScheduleRule, by("me"), more), kind, text);
    };
    await refuse({ cron: "0 9 * * *", timezone: "Mars/Olympus" }, RangeError, "give an IANA name");
    await refuse({ cron: "61 * * * *" }, RangeError, "give five fields");
    await refuse({ cron: "nonsense" }, RangeError, "give five fields");
    await refuse({ cron: "0 0 30 2 *" }, RangeError, "no tick");
    await refuse({ cron: 5 }, TypeError, "as cron");
    await refuse({}, TypeError, "neither cron nor every");
    await refuse({ cron: "* * * * *", every: 1_000 }, TypeError, "both");
    for (const every of [0, -1, 99, NaN, 100.5, Infinity]) await refuse({ every }, RangeError, "every (ms)");
    await refuse({ every: 100, timezone: "UTC" }, TypeError, "leave it out");
    await refuse({ every: 100, jitter: 1 }, TypeError, "jitter");
    await refuse({ every: 100 }, TypeError, "the name of a schedule", "");
    await refuse({ every: 100 }, TypeError, '"skip", "once" or "all"', "tick", { missed: "some" });
    await assertRejects(() => broker.schedule("tick", { every: 100 }, 1 as never), TypeError, "must be a function");
    assertEquals(await broker.schedules(), []);
  }),
];
