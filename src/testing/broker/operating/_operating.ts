import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { type BrokerErrorEvent, LeaseLostError, PermanentError } from "../../../broker/mod.ts";
import { defineEvent } from "../../../events/mod.ts";
import { type Claim, comparePositions, type GroupMember, positionTime, StoreError } from "../../../store/mod.ts";
import {
  assertOrder,
  assertSame,
  type BrokerContract,
  contract,
  Counted,
  counted,
  Gate,
  groupOf,
  lettersOf,
  Seen,
  settled,
  sleep,
  told,
  until,
  within,
} from "../../_broker_bench.ts";
import { FaultyStore } from "../../_faulty_store.ts";

class Kept extends defineEvent("Kept", { retention: { maxLength: 50 } })<{ n: number }> {}

export const operating: readonly BrokerContract[] = [
  contract("", "info() shows the stream and the progress of its groups", async (bench) => {
    const broker = await bench.broker();
    assertEquals(await broker.info(Counted), {
      type: "Counted",
      stream: "Counted",
      length: 0,
      bytes: 0,
      first: undefined,
      last: undefined,
      scheduled: { waiting: 0, next: undefined },
      pinnedBy: undefined,
      groups: [],
    });
    const events = counted(5);
    await broker.publish(events);
    const gate = new Gate();
    const subscription = await broker.subscribe(Counted, async ({ detail: { n } }) => {
      if (n === 0) throw new Error("later");
      if (n === 2) await gate.opened;
    }, { group: "group", consumer: "me", prefetch: 2, retry: { minTimeout: 60_000, jitter: 0 } });
    await until(async () => (await groupOf(broker, Counted)).lag === 1, "the handler of the third event runs");
    const { length, first, last, groups: [group, ...others] } = await broker.info(Counted);
    assertEquals([length, first, last, others], [5, events[0]!.position, events[4]!.position, []]);
    const { consumers: [consumer], ...rest } = group!;
    assertEquals(rest, {
      name: "group",
      types: ["Counted"],
      skipped: 0,
      expired: 0,
      pending: 3,
      retrying: 1,
      deferred: [],
      whenDead: "continue",
      held: { keys: 0, waiting: 0, from: undefined },
      paused: undefined,
      rate: undefined,
      deadLetters: 0,
      oldestDeadLetter: undefined,
      lag: 1,
      lagIsExact: true,
      oldestUnsettled: new Date(positionTime(events[0]!.position!)),
    });
    assert(consumer!.name.startsWith("me."));
    assertEquals([consumer!.pending, consumer!.alive, consumer!.stalled], [2, true, false]);
    gate.open();
    await subscription.close();
  }),

  contract(
    "22",
    "deleteGroup() removes an idle group, and refuses a busy one without force",
    async (bench) => {
      const [broker, other] = [await bench.broker(), await bench.broker()];
      await broker.publish(counted(3));
      const group = "group";
      const failing = { group, retry: { maxAttempts: 1 } };
      const subscription = await other.subscribe(Counted, ({ detail: { n } }) => {
        if (n === 0) throw new Error("never");
      }, failing);
      await settled(broker, Counted);
      for (const obstacle of ["live consumers", "dead letters"]) {
        const error = await assertRejects(() => broker.deleteGroup(Counted, { group }), StoreError);
        assertEquals(error.kind, "group-busy");
        assertStringIncludes(error.message, obstacle);
        await subscription.close();
      }
      await broker.deleteGroup(Counted, { group, force: true });
      assertEquals((await broker.info(Counted)).groups, []);
      await assertRejects(() => broker.redrive(Counted, { group }), RangeError, group);
      await assertRejects(() => lettersOf(broker, Counted), RangeError, group);
      // A new group of that name starts from the beginning.
      const seen = new Seen<Counted>();
      await (await broker.subscribe(Counted, seen.handler, { group })).close();
      await broker.deleteGroup(Counted, { group, force: true });
      await broker.deleteGroup(Counted, { group });
    },
  ),

  contract("26", "deleteGroup() with force ends the group's subscriptions with an error", async (bench) => {
    const [broker, other] = [await bench.broker(), await bench.broker()];
    const subscription = await other.subscribe(Counted, () => {}, { group: "group", lease: 300 });
    const errors = told<BrokerErrorEvent>(subscription, "error");
    const pulled = other.consume(Counted, { group: "pulled", lease: 300 });
    await broker.publish(counted(1));
    const { value: delivery } = await pulled.next();
    other.addEventListener("error", ({ error }) => assert(error instanceof StoreError));
    await broker.deleteGroup(Counted, { group: "group", force: true });
    await broker.deleteGroup(Counted, { group: "pulled", force: true });
    const error = await assertRejects(() => subscription.closed, StoreError);
    assertEquals(error.kind, "group-deleted");
    assertEquals(errors.map(({ error }) => error), [error]);
    await assertRejects(() => delivery!.ack(), LeaseLostError);
    assertEquals((await assertRejects(() => pulled.next(), StoreError)).kind, "group-deleted");
    await subscription.close();
  }),

  contract("27", "publish() and subscribe() trim by the retention of class and broker", async (bench) => {
    const broker = await bench.connect([Counted, Kept], { retention: { maxLength: 200 } });
    for (let at = 0; at < 1_000; at += 100) {
      await broker.publish(Array.from({ length: 100 }, (_, i) => new Kept({ n: at + i })));
      await broker.publish(counted(100, at));
    }
    await until(async () => (await broker.info(Kept)).length <= 150, "the class's retention is kept");
    await until(async () => (await broker.info(Counted)).length <= 300, "the broker's retention is kept");
    const [newest] = await Array.fromAsync(broker.history(Kept, { reverse: true, limit: 1 }));
    assertEquals(newest!.detail.n, 999);
  }),

  contract(
    "27",
    "publish() trims no unsettled event, and info() names the group that pins it",
    async (bench) => {
      const broker = await bench.connect([Kept]);
      const gate = new Gate();
      const seen = new Seen<Kept>();
      await broker.subscribe(Kept, async (event) => {
        await gate.opened;
        seen.handler(event);
      }, { group: "slow", concurrency: 50, prefetch: 50 });
      const events = Array.from({ length: 600 }, (_, n) => new Kept({ n }));
      for (let at = 0; at < 600; at += 100) await broker.publish(events.slice(at, at + 100));
      const { length, pinnedBy, first } = await broker.info(Kept);
      assertEquals([length, pinnedBy, first], [600, "slow", events[0]!.position]);
      gate.open();
      await settled(broker, Kept, "slow");
      assertSame(seen.ids, events);
      await until(async () => (await broker.info(Kept)).length <= 150, "settled events are trimmed");
      assertEquals((await broker.info(Kept)).groups[0]!.lag, 0);
    },
  ),

  contract("34", "publish() keeps positions rising when the clock jumps back or ahead", async (bench) => {
    const broker = await bench.broker();
    const seen = new Seen<Counted>();
    await broker.subscribe(Counted, seen.handler, { group: "group", lease: 600_000 });
    const events = counted(50);
    for (const [n, event] of events.entries()) {
      if (n % 5 === 0) bench.clock.advance(n % 10 === 0 ? -60_000 : 30_000);
      await broker.publish(event);
    }
    await settled(broker, Counted);
    assertOrder(seen.ids, events);
    assert(events.every(({ position }, i) => i === 0 || comparePositions(events[i - 1]!.position!, position!) < 0));
    assertOrder(await Array.fromAsync(broker.history(Counted)), events);
    assertOrder(await Array.fromAsync(broker.history(Counted, { after: events[30]!.position! })), events.slice(31));
  }, "clock"),

  contract("2, 26", "subscribe() goes on after the store was unreachable", async (bench) => {
    let faulty: FaultyStore | undefined;
    let down = false;
    const broker = await bench.over((store) => faulty = new FaultyStore(store), { events: [Counted] });
    faulty!.onMember = (member) => unreachable(member, () => down);
    const seen = new Seen<Counted>();
    const subscription = await broker.subscribe(Counted, async (event) => {
      await sleep(1);
      seen.handler(event);
    }, { group: "group", concurrency: 5, lease: 60_000 });
    const reconnects = told(subscription, "reconnect");
    const events = counted(200);
    const publisher = await bench.broker();
    await publisher.publish(events.slice(0, 100));
    await seen.count(30);
    down = true;
    await publisher.publish(events.slice(100));
    await until(() => reconnects.length >= 2, "the subscription tries again");
    down = false;
    await settled(publisher, Counted);
    assertEquals(seen.distinct, 200);
    assertSame([...new Set(seen.ids)], events);
  }, "store"),

  contract("", "discardDeadLetters() removes all letters, some by id, or those beyond bounds", async (bench) => {
    const broker = await bench.broker();
    const subscription = await broker.subscribe(Counted, () => {
      throw new PermanentError("no");
    }, { group: "group" });
    await broker.publish(counted(5));
    await broker.idle({ group: "group" });
    await subscription.close();
    const ids = (await lettersOf(broker, Counted)).map(({ id }) => id);
    const discard = (options: object) => broker.discardDeadLetters(Counted, { group: "group", ...options });
    const left = async () => (await lettersOf(broker, Counted)).map(({ id }) => id);
    assertEquals(await discard({ dryRun: true }), 5);
    assertEquals(await discard({ ids: [ids[1]!, "no such"], dryRun: true }), 1);
    assertEquals(await discard({ maxLength: 3, dryRun: true }), 2);
    assertEquals(await discard({ maxAge: 3_600_000, dryRun: true }), 0);
    assertEquals(await discard({ maxAge: Infinity }), 0);
    assertEquals(await left(), ids);
    assertEquals(await discard({ ids: [ids[1]!, "no such"] }), 1);
    assertEquals(await discard({ maxLength: 3 }), 1);
    assertEquals(await discard({ maxAge: 3_600_000 }), 0);
    assertEquals(await left(), ids.slice(2));
    await assertRejects(() => discard({ group: "nobody" }), RangeError, "nobody");
    await assertRejects(() => discard({ maxLength: -1 }), RangeError, "maxLength");
    await assertRejects(() => discard({ ids, maxAge: 1 }), TypeError, "both ids and bounds");
    const reason = new Error("enough");
    assert(await assertRejects(() => discard({ signal: AbortSignal.abort(reason) })) === reason);
    assertEquals(await discard({}), 3);
    assertEquals(await left(), []);
  }),

  contract("28", "idle() resolves when groups have caught up, retries included", async (bench) => {
    const [broker, other] = [await bench.broker(), await bench.broker()];
    await broker.idle();
    await assertRejects(() => broker.idle({ group: "group" }), RangeError, "group");
    let failing = true;
    const seen = new Seen<Counted>();
    const subscription = await broker.subscribe(Counted, (event) => {
      if (failing && event.detail.n === 1) throw new Error("again");
      if (event.detail.n === 2) throw new PermanentError("no");
      seen.handler(event);
    }, { group: "group", retry: { maxAttempts: 100, minTimeout: 50, multiplier: 1, jitter: 0 } });
    await broker.publish(counted(4));
    let idle = 0;
    const waits = [broker.idle(), other.idle({ group: "group" }), subscription.idle()];
    for (const wait of waits) wait.then(() => idle++);
    await seen.count(2);
    await sleep(300);
    assertEquals(idle, 0);
    const reason = new Error("enough");
    assert(await assertRejects(() => broker.idle({ signal: AbortSignal.abort(reason) })) === reason);
    failing = false;
    await within(Promise.all(waits), "the group to be idle");
    assertEquals(seen.distinct, 3);
    assertEquals((await groupOf(broker, Counted)).deadLetters, 1);
    await subscription.close();
    await broker.publish(counted(1));
    const never = broker.idle();
    const closed = assertRejects(() => never, Error, "closed");
    await broker.close();
    await within(closed, "the end");
  }),
];

/** A member that does not reply while it is down. Its calls may have taken effect all the same. */
function unreachable(member: GroupMember, down: () => boolean): GroupMember {
  const guard = <Args extends unknown[], R>(work: (...args: Args) => Promise<R>) => async (...args: Args) => {
    if (down()) throw new StoreError("transient", "the server is loading");
    const result = await work(...args);
    if (down()) throw new StoreError("uncertain", "the connection was lost before the answer");
    return result;
  };
  let unanswered: Claim | undefined;
  return {
    consumer: member.consumer,
    claim: guard(async (options) => {
      const claim = unanswered ?? await member.claim(options);
      // Entries claimed without a reply come with the next call, as the port promises.
      unanswered = down() ? claim : undefined;
      return claim;
    }),
    renew: guard((held, options) => member.renew(held, options)),
    settle: guard((outcomes) => member.settle(outcomes)),
    held: guard((deliveries) => member.held(deliveries)),
    control: guard(() => member.control()),
    keep: guard((delivery, name, text) => member.keep(delivery, name, text)),
    kept: guard((delivery) => member.kept(delivery)),
    leave: () => member.leave(),
  };
}
