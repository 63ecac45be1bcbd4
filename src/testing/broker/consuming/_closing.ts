import { assert, assertEquals, assertRejects } from "@std/assert";
import { BrokerClosedError, LeaseLostError } from "../../../broker/mod.ts";
import {
  assertSame,
  type BrokerContract,
  contract,
  Counted,
  counted,
  Gate,
  groupOf,
  Other,
  Seen,
  settled,
  SOON,
  told,
  until,
  within,
} from "../../_broker_bench.ts";

export const closing: readonly BrokerContract[] = [
  contract("10", "close() keeps accepted publishes and rejects the others", async (bench) => {
    const observer = await bench.broker();
    const broker = await bench.broker();
    const [accepted, rejected] = [[] as Counted[], [] as Counted[]];
    const closing = new Gate();
    const publishing = Array.from({ length: 20 }, async (_, publisher) => {
      for (let n = 0; n < 200; n++) {
        const [event] = counted(1, publisher * 1_000 + n);
        try {
          await broker.publish(event!);
          accepted.push(event!);
        } catch {
          rejected.push(event!);
          break;
        }
        if (accepted.length === 300) closing.open();
      }
    });
    await closing.opened;
    await broker.close();
    await Promise.all(publishing);
    assertEquals(rejected.length, 20);
    const seen = new Seen<Counted>();
    await observer.subscribe(Counted, seen.handler, { group: "group" });
    await settled(observer, Counted);
    assertSame(seen.ids, accepted);
  }),

  contract("32", "close() lets running handlers finish and releases the rest at once", async (bench) => {
    const [broker, other] = [await bench.broker(), await bench.broker()];
    const events = counted(10);
    await broker.publish(events);
    const gate = new Gate();
    const mine = new Seen<Counted>();
    const options = { group: "group", concurrency: 2, prefetch: 8, lease: 60_000 };
    const started: string[] = [];
    const subscription = await broker.subscribe(Counted, async (event, { signal }) => {
      started.push(event.id);
      await gate.opened;
      assert(!signal.aborted);
      mine.handler(event);
    }, options);
    const closes = told(subscription, "close");
    await until(() => started.length === 2, "two handlers run");
    const closing = subscription.close();
    const theirs = new Seen<Counted>();
    const attempts = new Set<number>();
    await other.subscribe(Counted, (event, { attempt, recovered }) => {
      theirs.handler(event);
      attempts.add(attempt).add(1 + recovered);
    }, { group: "group" });
    // Other consumers receive the rest while these handlers still run.
    await theirs.count(8);
    assertEquals(mine.ids, []);
    assertEquals(subscription.close(), closing);
    gate.open();
    await closing;
    await subscription.closed;
    await subscription.close();
    await settled(broker, Counted);
    assertSame(mine.ids, events.slice(0, 2));
    assertSame(theirs.ids, events.slice(2));
    assertEquals([...attempts], [1]);
    assertEquals(closes.length, 1);
    assertEquals((await groupOf(broker, Counted)).consumers.length, 1);
  }),

  contract(
    "12, 32",
    "close() aborts running handlers after drainTimeout and releases their events, uncounted",
    async (bench) => {
      const broker = await bench.broker();
      const [event] = counted(1);
      await broker.publish(event!);
      const gate = new Gate();
      const running = new Gate();
      const ended = new Gate();
      let aborted: AbortSignal | undefined;
      const subscription = await broker.subscribe(Counted, async (_event, { signal }) => {
        aborted = signal;
        running.open();
        await gate.opened;
        ended.open();
        throw new Error("too late to count");
      }, { group: "group", drainTimeout: 40, retry: { maxAttempts: 1 } });
      await running.opened;
      const before = performance.now();
      await subscription.close();
      const took = performance.now() - before;
      assert(took > 35 && took < 2_000, `Closing took ${took} ms`);
      assertEquals([aborted!.aborted, (aborted!.reason as Error).name], [true, "AbortError"]);
      gate.open();
      await ended.opened;
      const got: [number, number][] = [];
      await broker.subscribe(Counted, (_event, { attempt, recovered }) => void got.push([attempt, recovered]), {
        group: "group",
      });
      await settled(broker, Counted);
      assertEquals(got, [[1, 0]]);
      assertEquals((await groupOf(broker, Counted)).deadLetters, 0);
    },
  ),

  contract("32", "close() does not wait for retries that are not due", async (bench) => {
    const broker = await bench.broker();
    await broker.publish(counted(4));
    for (const [group, key] of [["group", undefined], ["ordered", () => ""]] as const) {
      const subscription = await broker.subscribe(Counted, () => {
        throw new Error("again");
      }, { group, retry: { minTimeout: 60_000, jitter: 0 }, ...(key && { key }) });
      await until(async () => (await groupOf(broker, Counted, group)).retrying >= 1, "a retry waits");
      const before = performance.now();
      await subscription.close();
      assert(performance.now() - before < 2_000);
      const { pending, consumers } = await groupOf(broker, Counted, group);
      assertEquals(consumers, []);
      assert(pending >= 1);
    }
  }),

  contract("32", "close() of a broker closes everything, may be called twice, and ends its use", async (bench) => {
    const observer = await bench.broker();
    const broker = await bench.broker();
    const seen = new Seen<Counted>();
    const subscription = await broker.subscribe(Counted, seen.handler, { group: "group" });
    broker.addEventListener("Counted", seen.handler);
    const events = counted(5);
    await broker.publish(events);
    await settled(broker, Counted);
    const closed = told(broker, "close");
    const closing = broker.close();
    assertEquals(broker.close(), closing);
    await closing;
    await broker[Symbol.asyncDispose]();
    await subscription.closed;
    assertEquals(closed.length, 1);
    await assertRejects(() => broker.publish(counted(1)[0]!), BrokerClosedError, "closed");
    await assertRejects(() => broker.publish(counted(2)), BrokerClosedError, "closed");
    await assertRejects(() => broker.subscribe(Counted, () => {}, { group: "group" }), BrokerClosedError, "closed");
    await assertRejects(() => broker.consume(Counted, { group: "group" }).next(), BrokerClosedError, "closed");
    assertEquals((await groupOf(observer, Counted)).consumers, []);
  }),

  contract("32", "all methods reject after close()", async (bench) => {
    const broker = await bench.broker();
    const group = { group: "group" };
    await (await broker.subscribe(Counted, () => {}, group)).close();
    await broker.close();
    const uses: (() => Promise<unknown>)[] = [
      () => broker.history(Counted).next(),
      () => broker.history(Counted, { follow: true }).next(),
      () => broker.replay(Counted, () => {}),
      () => broker.info(Counted),
      () => broker.rewind(Counted, { ...group, to: "now" }),
      () => broker.deadLetters(Counted, group).next(),
      () => broker.redrive(Counted, group),
      () => broker.redrive(Counted, { ...group, dryRun: true }),
      () => broker.discardDeadLetters(Counted, group),
      () => broker.discardDeadLetters(Counted, { ...group, dryRun: true }),
      () => broker.deleteGroup(Counted, group),
      () => broker.idle(),
    ];
    for (const use of uses) await assertRejects(use, BrokerClosedError, ": the broker is closed");
    broker.addEventListener("Counted", () => {});
  }),

  contract("7, 32", "close() while consumers join leaves none of them in the group", async (bench) => {
    const observer = await bench.connect([Counted, Other]);
    await observer.publish(counted(1));
    for (let turns = 0; turns < 12; turns++) {
      const broker = await bench.connect([Counted, Other]);
      const joining = broker.subscribe([Counted, Other], () => {}, { group: "group" });
      const outcome = joining.then(() => "joined", (error) => error);
      for (let turn = 0; turn < turns; turn++) await Promise.resolve();
      await broker.close();
      const result = await within(outcome, "subscribe to end");
      assert(result === "joined" || result instanceof BrokerClosedError, String(result));
      const { groups } = await observer.info(Counted);
      const consumers = groups.flatMap((group) => group.consumers);
      assertEquals([turns, consumers], [turns, []]);
    }
  }),

  contract("32", "close() lets draining handlers publish", async (bench) => {
    const broker = await bench.broker();
    const running = new Gate();
    const gate = new Gate();
    const [cause, effect] = counted(2);
    await broker.subscribe(Counted, async () => {
      running.open();
      await gate.opened;
      await broker.publish(effect!);
    }, { group: "group", prefetch: 1 });
    await broker.publish(cause!);
    await running.opened;
    const closing = broker.close();
    gate.open();
    await closing;
    const observer = await bench.broker();
    const left = await Array.fromAsync(observer.history(Counted));
    assertSame(left, [cause!, effect!]);
    assertEquals((await groupOf(observer, Counted)).lag, 1);
  }),

  contract("28, 32", "close() ends history() that follows a stream", async (bench) => {
    const broker = await bench.connect([Counted, Other]);
    const reading = [broker.history(Counted, { follow: true }), broker.history([Counted, Other], { follow: true })];
    const [event] = counted(1);
    await broker.publish(event!);
    for (const history of reading) assertEquals((await history.next()).value!.id, event!.id);
    const replaying = broker.replay(Counted, () => {}, { follow: true, signal: new AbortController().signal });
    const waiting = [...reading.map((history) => history.next()), replaying];
    for (const next of waiting) next.catch(() => {});
    await broker.close();
    for (const next of waiting) await within(assertRejects(() => next, BrokerClosedError, "closed"), "the end");
  }),

  contract("32", "close() happens when the broker's signal aborts, and later calls reject", async (bench) => {
    const controller = new AbortController();
    const broker = await bench.broker({ signal: controller.signal });
    const subscription = await broker.subscribe(Counted, () => {}, { group: "group" });
    const closed = told(broker, "close");
    controller.abort();
    await subscription.closed;
    await until(() => closed.length === 1, "the broker has closed");
    await assertRejects(() => broker.publish(counted(1)[0]!), BrokerClosedError, "closed");
  }),

  contract("13", "subscribe() ends when its signal aborts, and loses nothing", async (bench) => {
    const broker = await bench.broker();
    const events = counted(200);
    await broker.publish(events);
    const seen = new Seen<Counted>();
    const options = { group: "group", retry: SOON };
    for (let session = 1; session <= 3; session++) {
      const controller = new AbortController();
      const subscription = await broker.subscribe(Counted, async (event) => {
        await Promise.resolve();
        seen.handler(event);
        if (seen.distinct >= session * 30) controller.abort(new Error("enough"));
      }, { ...options, concurrency: 3, signal: controller.signal });
      await subscription.closed;
    }
    assert(seen.distinct < 200);
    await broker.subscribe(Counted, seen.handler, options);
    await settled(broker, Counted);
    assertSame(seen.ids, events);
    const reason = new Error("before it began");
    const aborted = { group: "other", signal: AbortSignal.abort(reason) };
    const error = await assertRejects(() => broker.subscribe(Counted, () => {}, aborted));
    assert(error === reason);
  }),

  contract("32", "subscribe() works again for a group after the first subscription closed", async (bench) => {
    const broker = await bench.broker();
    for (let session = 0; session < 5; session++) {
      const seen = new Seen<Counted>();
      const subscription = await broker.subscribe(Counted, seen.handler, { group: "group", consumer: "me" });
      const events = counted(3);
      await broker.publish(events);
      await settled(broker, Counted);
      assertSame(seen.ids, events);
      await subscription[Symbol.asyncDispose]();
    }
  }),

  contract("12", "close() makes pulled deliveries refuse a late settle", async (bench) => {
    const broker = await bench.broker();
    const [event] = counted(1);
    await broker.publish(event!);
    const controller = new AbortController();
    const pulled = broker.consume(Counted, { group: "group", drainTimeout: 20, signal: controller.signal });
    const { value: delivery } = await pulled.next();
    assert(delivery);
    controller.abort();
    await until(() => delivery.signal.aborted, "the delivery is lost");
    await assertRejects(() => delivery.ack(), LeaseLostError);
    assertEquals((await pulled.next()).done, true);
    const { pending, deadLetters } = await groupOf(broker, Counted);
    assertEquals({ pending, deadLetters }, { pending: 1, deadLetters: 0 });
  }),
];
