import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import type { EventBroker } from "../../../broker/mod.ts";
import { StoreError } from "../../../store/mod.ts";
import { type BrokerContract, contract, Counted, counted, Gate, settled, told, until } from "../../_broker_bench.ts";

/** The only problem of a broker. */
async function problemOf(broker: EventBroker<typeof Counted>, stalledAfter?: number): Promise<string> {
  const { ready, problems } = await broker.health(stalledAfter === undefined ? {} : { stalledAfter });
  assertEquals([ready, problems.length], [false, 1]);
  return problems[0]!;
}

export const health: readonly BrokerContract[] = [
  contract("37", "health() is ready when nothing is wrong, and shows the lag of each group", async (bench) => {
    const broker = await bench.broker();
    const { ready, problems, store, subscriptions } = await broker.health();
    assertEquals([ready, problems, subscriptions], [true, [], []]);
    assertEquals([store.state, store.error], ["connected", undefined]);
    const gate = new Gate();
    await broker.publish(counted(5));
    await broker.subscribe(Counted, () => gate.opened, { group: "group", prefetch: 2 });
    await until(async () => {
      const { ready, subscriptions: [subscription] } = await broker.health();
      const type = subscription?.types[0];
      assertEquals([ready, subscription?.group, subscription?.state, type?.eventType], [
        true,
        "group",
        "reading",
        "Counted",
      ]);
      if (type?.group === undefined || type.group === "missing") return false;
      return type.running === 1 && type.group.lag === 3 && type.group.pending === 2;
    }, "health() shows the lag");
    gate.open();
    await settled(broker, Counted);
  }),

  contract("37", "health() is not ready once the broker closes", async (bench) => {
    const broker = await bench.broker();
    await broker.close();
    assertEquals(await problemOf(broker), "The broker is closed");
  }),

  contract("37", "health() names a subscription that an error has ended, until it is opened again", async (bench) => {
    const [broker, other] = [await bench.broker(), await bench.broker()];
    told(broker, "error");
    const subscription = await broker.subscribe(Counted, () => {}, { group: "group", lease: 300 });
    await other.deleteGroup(Counted, { group: "group", force: true });
    await broker.publish(counted(1));
    await assertRejects(() => subscription.closed, StoreError);
    await until(async () => (await broker.health()).problems.length === 1, "the subscription has closed");
    assertStringIncludes(await problemOf(broker), 'group "group" has ended');
    assertEquals((await broker.health()).subscriptions[0]!.state, "failed");
    await broker.subscribe(Counted, () => {}, { group: "group" });
    await until(async () => (await broker.health()).ready, "the new subscription counts");
  }),

  contract("37", "health() names a subscription that settles nothing for longer than stalledAfter", async (bench) => {
    const broker = await bench.broker();
    const gate = new Gate();
    await broker.subscribe(Counted, () => gate.opened, { group: "group" });
    await broker.publish(counted(1));
    await until(async () => !(await broker.health({ stalledAfter: 20 })).ready, "health() reports the handler");
    assertStringIncludes(await problemOf(broker, 20), "has settled no Counted since");
    assert((await broker.health()).ready);
    gate.open();
    await until(async () => (await broker.health({ stalledAfter: 20 })).ready, "the handler has ended");
    await assertRejects(() => broker.health({ stalledAfter: -1 }), RangeError, "stalledAfter");
    await assertRejects(() => broker.health({ stalled: 1 } as object), TypeError, "stalled");
  }),

  contract(
    "37",
    "health() names a subscription whose keys fill its prefetch, so that it reads nothing",
    async (bench) => {
      const broker = await bench.broker();
      const gate = new Gate();
      const options = { group: "group", concurrency: 4, prefetch: 10, key: ({ detail }: Counted) => detail.key! };
      await broker.subscribe(Counted, () => gate.opened, options);
      await broker.publish(counted(30, 0, () => "stuck"));
      await until(async () => !(await broker.health()).ready, "health() reports it");
      assertStringIncludes(await problemOf(broker), "reads no Counted: deliveries that wait for their keys");
      gate.open();
      await settled(broker, Counted);
      await until(async () => (await broker.health()).ready, "it reads again");
    },
  ),

  contract("37", "health() names a subscription that has not renewed its lease", async (bench) => {
    let renewing = Promise.resolve();
    const broker = await bench.over((store) => {
      const join = store.member.bind(store);
      store.member = async (...args) => {
        const member = await join(...args);
        const renew = member.renew.bind(member);
        member.renew = async (...held) => {
          await renewing;
          return await renew(...held);
        };
        return member;
      };
      return store;
    }, { events: [Counted] });
    const frozen = Promise.withResolvers<void>();
    renewing = frozen.promise;
    await broker.subscribe(Counted, () => {}, { group: "group", lease: 200 });
    await until(async () => !(await broker.health()).ready, "health() reports it");
    assertStringIncludes(
      await problemOf(broker),
      'The subscription of group "group" has not renewed its lease for Counted',
    );
    frozen.resolve();
    await until(async () => (await broker.health()).ready, "the lease is renewed");
  }, "store"),

  contract("37", "health() names a group that the store no longer has", async (bench) => {
    let lost = false;
    const broker = await bench.over((store) => {
      const admin = store.admin.bind(store);
      store.admin = (stream) => {
        const asked = admin(stream);
        const info = asked.info.bind(asked);
        return Object.assign(asked, { info: async () => ({ ...await info(), ...(lost && { groups: [] }) }) });
      };
      return store;
    }, { events: [Counted] });
    await broker.subscribe(Counted, () => {}, { group: "group" });
    assert((await broker.health()).ready);
    lost = true;
    await until(async () => !(await broker.health()).ready, "health() reports it");
    assertEquals(await problemOf(broker), 'The store has no group "group" for Counted');
    assertEquals((await broker.health()).subscriptions[0]!.types[0]!.group, "missing");
    lost = false;
    await until(async () => (await broker.health()).ready, "the group is there again");
  }, "store"),

  contract("37", "health() resolves at once when the store does not respond, and reports that later", async (bench) => {
    const hanging = Promise.withResolvers<undefined>();
    const broker = await bench.over((store) => {
      const admin = store.admin.bind(store);
      store.admin = (stream) => Object.assign(admin(stream), { writeRefusal: () => hanging.promise });
      return store;
    }, { events: [Counted] });
    // Neither call waits for the store: the first would hang.
    assert((await broker.health()).ready);
    await until(async () => !(await broker.health()).ready, "the store counts as unreachable");
    assertStringIncludes(await problemOf(broker), "it does not answer");
    hanging.resolve(undefined);
    await until(async () => (await broker.health()).ready, "the store answers again");
  }, "store"),

  contract("37", "health() reports that the store accepts no events, and why", async (bench) => {
    let refusal: Error | undefined = new Error("the disk is full");
    const broker = await bench.over((store) => {
      const admin = store.admin.bind(store);
      store.admin = (stream) =>
        Object.assign(admin(stream), {
          writeRefusal: () => Promise.resolve(refusal),
        });
      return store;
    }, { events: [Counted] });
    await until(async () => (await broker.health()).store.state === "refusing", "the store has answered");
    const problem = await problemOf(broker);
    assertStringIncludes(problem, "takes no events");
    assertStringIncludes(problem, "the disk is full");
    refusal = undefined;
    await until(async () => (await broker.health()).ready, "the store accepts events again");
  }, "store"),
];
