import { assert, assertEquals, assertRejects } from "@std/assert";
import { type Delivery, LeaseLostError } from "../../../broker/mod.ts";
import type { GroupMember } from "../../../store/mod.ts";
import { StoreError } from "../../../store/mod.ts";
import {
  type BrokerContract,
  contract,
  Counted,
  counted,
  Gate,
  lettersOf,
  settled,
  SOON,
  STREAM,
  until,
  within,
} from "../../_broker_bench.ts";
import { FaultyStore } from "../../_faulty_store.ts";
import { FrozenStore } from "../../_frozen_store.ts";

export const steps: readonly BrokerContract[] = [
  contract("54", "delivery.once() does a step once over all attempts, and returns its answer", async (bench) => {
    const broker = await bench.broker();
    await broker.publish(counted(3));
    const charged: number[] = [];
    const answers: unknown[] = [];
    await broker.subscribe(Counted, async ({ detail: { n } }, delivery) => {
      const charge = await delivery.once("charge", async () => {
        await Promise.resolve();
        charged.push(n);
        return { id: `c-${n}`, list: [1, null, "ä"] };
      });
      const nothing = await delivery.once("mail", () => {});
      answers.push([n, delivery.attempt, charge, nothing]);
      if (delivery.attempt < 3) throw new Error("not yet");
    }, { group: "group", retry: SOON });
    await settled(broker, Counted);
    assertEquals(charged.toSorted(), [0, 1, 2]);
    assertEquals(answers.length, 9);
    for (const [n, , charge, nothing] of answers as [number, number, unknown, unknown][]) {
      assertEquals([charge, nothing], [{ id: `c-${n}`, list: [1, null, "ä"] }, undefined]);
    }
  }),

  contract("54", "delivery.once() tries a failed step again, and shares one that runs", async (bench) => {
    const broker = await bench.broker();
    await broker.publish(counted(1));
    let tries = 0;
    const results: unknown[] = [];
    await broker.subscribe(Counted, async (_, delivery) => {
      const step = () => {
        if (++tries < 3) throw new Error(`refused ${tries}`);
        return Promise.resolve(tries);
      };
      await assertRejects(() => delivery.once("charge", step), Error, "refused");
      if (delivery.attempt === 1) throw new Error("next attempt");
      results.push(...await Promise.all([delivery.once("charge", step), delivery.once("charge", step)]));
    }, { group: "group", retry: SOON, key: () => "a" });
    await settled(broker, Counted);
    assertEquals([tries, results], [3, [3, 3]]);
  }),

  contract("54, 32", "delivery.once() outlives a consumer that closes, and one that pulls", async (bench) => {
    const [one, two] = [await bench.broker(), await bench.broker()];
    await one.publish(counted(1));
    const begun = new Gate();
    const subscription = await one.subscribe(Counted, async (_, delivery) => {
      await delivery.once("charge", () => "by one");
      begun.open();
      await new Promise<void>((resolve) => delivery.signal.addEventListener("abort", () => resolve()));
    }, { group: "group", drainTimeout: 20 });
    await within(begun.opened, "the first handler");
    await subscription.close();
    for await (const delivery of two.consume(Counted, { group: "group" })) {
      assertEquals([delivery.attempt, delivery.recovered], [1, 0]);
      assertEquals(await delivery.once("charge", () => "by two"), "by one");
      await delivery.ack();
      break;
    }
    await settled(two, Counted);
  }),

  contract("17, 54", "delivery.once() outlives a process that is killed", async (bench) => {
    let frozen!: FrozenStore;
    const doomed = await bench.over((store) => frozen = new FrozenStore(store), { events: [Counted] });
    const heir = await bench.broker();
    await heir.publish(counted(1));
    const begun = new Gate();
    const late = Promise.withResolvers<unknown>();
    await doomed.subscribe(Counted, async (_, delivery) => {
      await delivery.once("charge", () => "by the dead");
      frozen.freeze();
      begun.open();
      await delivery.once("mail", () => "too late").catch(late.resolve);
    }, { group: "group", lease: 300 });
    await within(begun.opened, "the first handler");
    const answers: unknown[] = [];
    await heir.subscribe(Counted, async (_, delivery) => {
      answers.push(
        await delivery.once("charge", () => "by the heir"),
        await delivery.once("mail", () => "by the heir"),
      );
    }, { group: "group" });
    await settled(heir, Counted);
    frozen.thaw();
    assertEquals(answers, ["by the dead", "by the heir"]);
    assert(await within(late.promise, "the late step") instanceof LeaseLostError);
  }, "store"),

  contract("54", "delivery.once() keeps the answer though replies of the store are lost", async (bench) => {
    let lost = 0;
    const flaky = (member: GroupMember): GroupMember => ({
      consumer: member.consumer,
      claim: (options) => member.claim(options),
      settle: (outcomes) => member.settle(outcomes),
      renew: (...args) => member.renew(...args),
      held: (deliveries) => member.held(deliveries),
      control: () => member.control(),
      kept: (delivery) => member.kept(delivery),
      keep: async (delivery, name, text) => {
        const kept = await member.keep(delivery, name, text);
        if (lost++ < 2) throw new StoreError("uncertain", "the connection was lost before the answer");
        return kept;
      },
      leave: () => member.leave(),
    });
    const broker = await bench.over((store) => {
      const faulty = new FaultyStore(store);
      faulty.onMember = flaky;
      return faulty;
    }, { events: [Counted] });
    await broker.publish(counted(1));
    let charged = 0;
    await broker.subscribe(Counted, async (_, delivery) => {
      await delivery.once("charge", () => ++charged);
      if (delivery.attempt === 1) throw new Error("not yet");
    }, { group: "group", retry: SOON });
    await settled(broker, Counted);
    assertEquals([charged, lost], [1, 3]);
  }, "store"),

  contract("31, 54", "delivery.once() refuses bad names, steps and answers", async (bench) => {
    const broker = await bench.broker();
    await broker.publish(counted(1));
    const done = Promise.withResolvers<void>();
    const check = async ({ once }: { once: Delivery["once"] }) => {
      await assertRejects(() => once("", () => 1), TypeError, "1 to 200 characters");
      await assertRejects(() => once("x".repeat(201), () => 1), TypeError, "1 to 200 characters");
      await assertRejects(() => once("a", 1 as never), TypeError, "no function");
      await assertRejects(() => once("a", () => NaN), TypeError, 'Cannot keep the answer "a"');
      await assertRejects(() => once("a", () => 10n), TypeError, 'Cannot keep the answer "a"');
      await assertRejects(() => once("a", () => "x".repeat(70_000)), RangeError, "65536 bytes");
    };
    await broker.subscribe(Counted, (_, delivery) => {
      const once: Delivery["once"] = async (name, step) => await delivery.once(name, step);
      return check({ once }).then(done.resolve, done.reject);
    }, { group: "group" });
    await within(done.promise, "the checks");
    await settled(broker, Counted);
  }),

  contract("25, 54", "a dead letter keeps no answers: a redriven event does its steps again", async (bench) => {
    const broker = await bench.broker();
    await broker.publish(counted(1));
    let charged = 0;
    await broker.subscribe(Counted, async (_, delivery) => {
      if (await delivery.once("charge", () => ++charged) === 1) throw new Error("no good");
    }, { group: "group", retry: { maxAttempts: 1 } });
    await until(async () => (await lettersOf(broker, Counted)).length === 1, "the event is dead");
    await broker.redrive(Counted, { group: "group" });
    await settled(broker, Counted);
    assertEquals(charged, 2);
    assertEquals(STREAM, "events:Counted");
  }),
];
