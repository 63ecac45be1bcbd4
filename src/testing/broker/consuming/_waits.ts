import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import type { Subscription, WarningEvent } from "../../../broker/mod.ts";
import {
  type BrokerContract,
  contract,
  Counted,
  counted,
  Gate,
  groupOf,
  Other,
  told,
  until,
  within,
} from "../../_broker_bench.ts";

/** Contracts of handlers that wait for something that needs their own end first: no such wait is silent. */
export const waiting: readonly BrokerContract[] = [
  contract("32", "close() awaited inside a handler ends at once and loses nothing", async (bench) => {
    const observer = await bench.broker();
    for (const closesBroker of [false, true]) {
      const broker = await bench.broker();
      const group = closesBroker ? "broker" : "subscription";
      const handled: string[] = [];
      const before = performance.now();
      const subscription = await broker.subscribe(Counted, async (event) => {
        await (closesBroker ? broker : subscription).close();
        handled.push(event.id);
      }, { group, concurrency: 2, drainTimeout: 20_000 });
      await broker.publish(counted(2));
      await within(subscription.closed, "the subscription to close");
      await within(broker.close(), "the broker to close");
      assert(performance.now() - before < 5_000);
      assert(handled.length > 0);
      const { pending, lag, consumers } = await groupOf(observer, Counted, group);
      const stored = (await observer.info(Counted)).length;
      assertEquals([pending + lag, consumers], [stored - handled.length, []]);
    }
  }),

  contract(
    "32",
    "close() awaited in a replay inside a handler, or after the delivery was lost, ends at once",
    async (bench) => {
      for (const situation of ["replaying", "lost"]) {
        const broker = await bench.broker();
        const group = situation;
        const handled = new Gate();
        const subscription = await broker.subscribe(Counted, async (_event, { signal }) => {
          if (situation === "replaying") await broker.replay(Counted, () => broker.close(), { limit: 1 });
          else {
            await broker.rewind(Counted, { group, to: "beginning" });
            await until(() => signal.aborted, "the delivery is lost");
            await subscription.close();
          }
          handled.open();
        }, { group, drainTimeout: 20_000 });
        await broker.publish(counted(1));
        await within(handled.opened, "the handler to end");
        await within(subscription.closed, "the subscription to close");
        await within(broker.close(), "the broker to close");
      }
    },
  ),

  contract("32", "close() awaited by a replay, a live listener or a reader of history ends", async (bench) => {
    const observer = await bench.broker();
    await observer.publish(counted(2));
    const replaying = await bench.broker();
    const reading = await bench.broker();
    const listening = await bench.broker();
    await within(replaying.replay(Counted, () => replaying.close()).catch(() => {}), "the replay to end");
    await within(
      (async () => {
        for await (const _event of reading.history(Counted)) await reading.close();
      })().catch(() => {}),
      "the reader to end",
    );
    const heard = new Promise<void>((resolve) => {
      listening.addEventListener("Counted", async () => {
        await listening.close();
        resolve();
      });
    });
    await listening.publish(counted(1));
    await within(heard, "the listener to end");
  }),

  contract("32", "closed awaited inside a handler rejects once closing waits for the handler", async (bench) => {
    for (const before of [true, false]) {
      const broker = await bench.broker();
      const group = `group-${before}`;
      const waits = new Gate();
      let refusal: unknown;
      const subscription: Subscription = await broker.subscribe(Counted, async () => {
        if (!before) await subscription.close();
        const { closed } = subscription;
        waits.open();
        refusal = await closed.then(() => "closed", (error) => error);
      }, { group, drainTimeout: 20_000 });
      await broker.publish(counted(1));
      await waits.opened;
      if (before) await within(subscription.close(), "the subscription to close");
      await within(subscription.closed, "the subscription to have closed");
      assert(refusal instanceof TypeError, String(refusal));
      assertEquals(
        refusal.message,
        `Cannot wait in a handler of group "${group}" until its own subscription has closed: closing waits for the ` +
          `handler; return from the handler, and await closed outside of it`,
      );
      await broker.close();
    }
  }),

  contract(
    "32",
    "closed read in a handler resolves if the handler has ended before the subscription closes",
    async (bench) => {
      const [broker, other] = [await bench.broker(), await bench.broker()];
      const closed: Promise<void>[] = [];
      const unrelated = await other.subscribe(Counted, () => {}, { group: "other" });
      const subscription: Subscription = await broker.subscribe(Counted, () => {
        closed.push(subscription.closed, unrelated.closed);
      }, { group: "group" });
      await broker.publish(counted(1));
      await broker.idle({ group: "group" });
      await subscription.close();
      await unrelated.close();
      assertEquals(await within(Promise.all(closed), "closed to resolve"), [undefined, undefined]);
    },
  ),

  contract("32", "idle() awaited inside a handler of that group rejects, and waits for other groups", async (bench) => {
    const broker = await bench.connect([Counted, Other]);
    const others = await broker.subscribe(Other, () => {}, { group: "group" });
    await broker.subscribe(Counted, () => {}, { group: "other" });
    const refusals: unknown[] = [];
    const done = new Gate();
    const subscription: Subscription = await broker.subscribe(Counted, async () => {
      for (const wait of [() => broker.idle(), () => broker.idle({ group: "group" }), () => subscription.idle()]) {
        refusals.push(await assertRejects(wait, TypeError));
      }
      await broker.idle({ group: "other" });
      await others.idle();
      done.open();
    }, { group: "group" });
    await broker.publish(counted(1));
    await broker.publish(new Other({ n: 1 }));
    await within(done.opened, "the handler to end");
    for (const refusal of refusals) {
      assertEquals(
        (refusal as Error).message,
        `Cannot wait in a handler of group "group" until that group is idle: the event of the handler is not settled ` +
          `before the handler has ended; return from the handler, and wait outside of it`,
      );
    }
    await within(broker.idle(), "all groups to be idle");
  }),

  contract("32", "idle() rejects as soon as the broker begins to close", async (bench) => {
    const [broker, observer] = [await bench.broker(), await bench.broker()];
    await broker.publish(counted(1));
    const running = new Gate();
    let failure: unknown;
    await broker.subscribe(Counted, () => {}, { group: "idle", startFrom: "now" });
    await observer.subscribe(Counted, () => new Promise(() => {}), { group: "busy", drainTimeout: 0 });
    await until(async () => (await groupOf(observer, Counted, "busy")).pending === 1, "the other group is busy");
    await broker.subscribe(Counted, async () => {
      running.open();
      failure = await broker.idle({ group: "busy" }).catch((error) => error);
    }, { group: "group", drainTimeout: 20_000 });
    await running.opened;
    await within(broker.close(), "the broker to close");
    assertEquals((failure as Error).message, "Cannot wait until groups are idle: the broker is closed; make a new one");
  }),

  contract("32", "close() reports by a warning that it waits for a pulled delivery", async (bench) => {
    const broker = await bench.broker();
    await broker.publish(counted(2));
    const warnings = told<WarningEvent>(broker, "warning");
    const pulled = broker.consume(Counted, { group: "group", drainTimeout: 20_000 });
    const { value: delivery } = await pulled.next();
    const closing = broker.close();
    await until(() => warnings.length > 0, "the broker warns");
    const [{ message }] = warnings as [WarningEvent];
    assert(
      message.startsWith('Cannot close the consumer of group "group" yet: a pulled delivery is not settled'),
      message,
    );
    assertStringIncludes(message, "before you await close");
    await delivery!.ack();
    await within(closing, "the broker to close");
    assertEquals((await pulled.next()).done, true);
    assertEquals(warnings.length, 1);
  }),
];
