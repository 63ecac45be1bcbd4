import { assert, assertEquals, assertRejects } from "@std/assert";
import { type Batch, BatchError, LeaseLostError, PermanentError, type RetryEvent } from "../../../broker/mod.ts";
import { defineEvent } from "../../../events/mod.ts";
import {
  assertOrder,
  assertSame,
  type BrokerContract,
  contract,
  Counted,
  counted,
  Gate,
  groupOf,
  LEASE,
  lettersOf,
  Other,
  Seen,
  settled,
  sleep,
  SOON,
  told,
  until,
  within,
} from "../../_broker_bench.ts";

class Booked extends defineEvent("Booked", { subject: "account" })<{ account: string; n: number }> {}

const ACCOUNTS = ["ada", "bob", "cleo", "dan", "eve", "fay"];
const numbersOf = (events: readonly Counted[]) => events.map(({ detail }) => detail.n);

export const batches: readonly BrokerContract[] = [
  contract("53", "subscribe() with batch handles full batches in order, and settles all of each", async (bench) => {
    const broker = await bench.broker();
    const events = counted(1_050);
    for (let at = 0; at < 1_050; at += 350) await broker.publish(events.slice(at, at + 350));
    const sizes: number[] = [];
    const seen: Counted[] = [];
    await broker.subscribe(Counted, async (batch) => {
      sizes.push(batch.events.length);
      assertEquals(batch.deliveries.map(({ event }) => event), batch.events);
      assertEquals(batch.deliveries.map(({ attempt }) => attempt), batch.events.map(() => 1));
      await Promise.resolve();
      seen.push(...batch.events);
    }, { group: "group", batch: { size: 100, wait: 60_000 } });
    await until(() => seen.length === 1_000, "all full batches were handled");
    await until(async () => (await groupOf(broker, Counted)).pending <= 50, "their events were settled");
    assertEquals(sizes, Array.from({ length: 10 }, () => 100));
    assertOrder(seen, events.slice(0, 1_000));
  }),

  contract("53", "subscribe() with batch starts a batch that is not full after `wait`", async (bench) => {
    const broker = await bench.broker();
    const seen: number[][] = [];
    await broker.subscribe(Counted, (batch) => void seen.push(numbersOf(batch.events)), {
      group: "group",
      batch: { size: 100, wait: 20 },
    });
    for (const n of [0, 1, 2]) {
      await broker.publish(counted(2, 2 * n));
      await settled(broker, Counted);
    }
    assertEquals(seen.flat(), [0, 1, 2, 3, 4, 5]);
  }),

  contract("53", "subscribe() with batch.bytes starts batches of as many bytes at most", async (bench) => {
    const broker = await bench.broker();
    const events = Array.from({ length: 12 }, (_, n) => new Counted({ n, key: "x".repeat(n === 5 ? 50_000 : 4_000) }));
    await broker.publish(events);
    const seen: number[][] = [];
    await broker.subscribe(Counted, (batch) => void seen.push(numbersOf(batch.events)), {
      group: "group",
      batch: { size: 100, bytes: 20_000 },
    });
    await settled(broker, Counted);
    assertEquals(seen, [[0, 1, 2, 3], [4], [5], [6, 7, 8, 9], [10, 11]]);
  }),

  contract("53", "subscribe() with batch gives one handler events of several types", async (bench) => {
    const broker = await bench.connect([Counted, Other]);
    const seen = new Seen<Counted | Other>();
    await broker.publish([...counted(30), ...Array.from({ length: 30 }, (_, n) => new Other({ n }))]);
    await broker.subscribe([Counted, Other], (batch) => batch.events.forEach(seen.handler), {
      group: "group",
      concurrency: 3,
      batch: { size: 7, wait: 5 },
    });
    await settled(broker, Counted);
    await settled(broker, Other);
    assertEquals(seen.events.length, 60);
  }),

  contract("4, 53", "A batch that fails retries each of its events with its own attempt", async (bench) => {
    const broker = await bench.broker();
    await broker.publish(counted(20));
    const attempts = new Map<number, number[]>();
    let failures = 0;
    const subscription = await broker.subscribe(Counted, (batch) => {
      for (const { event, attempt } of batch.deliveries) {
        attempts.set(event.detail.n, [...attempts.get(event.detail.n) ?? [], attempt]);
      }
      if (failures++ < 2) throw new Error("not yet");
    }, { group: "group", retry: SOON, batch: { size: 20 } });
    const retries = told<RetryEvent>(subscription, "retry");
    await settled(broker, Counted);
    assert(retries.length >= 21 && retries.every(({ error }) => (error as Error).message === "not yet"));
    for (const seen of attempts.values()) assertEquals(seen, seen.map((_, nth) => nth + 1));
    assertEquals(attempts.size, 20);
  }),

  contract("22, 53", "A BatchError names the failed events, and each fails by its own error", async (bench) => {
    const broker = await bench.broker();
    await broker.publish(counted(10));
    const times = new Map<number, number>();
    await broker.subscribe(Counted, (batch) => {
      for (const n of numbersOf(batch.events)) times.set(n, (times.get(n) ?? 0) + 1);
      const [three, seven] = [3, 7].map((n) => batch.events.find((event) => event.detail.n === n));
      if (three && seven) {
        throw new BatchError(new Map<Counted, unknown>([[three, new PermanentError("no good")], [seven, "later"]]));
      }
    }, { group: "group", retry: SOON, batch: { size: 10 } });
    await settled(broker, Counted);
    assertEquals([...times].filter(([, count]) => count > 1), [[7, 2]]);
    const letters = await lettersOf(broker, Counted);
    assertEquals(letters.map(({ event, reason, attempts }) => [(event as Counted).detail.n, reason, attempts]), [
      [3, "permanent", 1],
    ]);
    assertEquals(letters[0]!.error.message, "no good");
  }),

  contract("53", "A BatchError that names an event of no batch fails the batch", async (bench) => {
    const broker = await bench.broker();
    await broker.publish(counted(2));
    await broker.subscribe(Counted, () => {
      throw new BatchError(counted(1, 5));
    }, { group: "group", retry: { maxAttempts: 1 }, batch: { size: 2 } });
    await settled(broker, Counted);
    const letters = await lettersOf(broker, Counted);
    assertEquals(letters.map(({ error }) => error.name), ["TypeError", "TypeError"]);
  }),

  contract(
    "53",
    "batch.ack() settles events before the handler ends, and a throw fails only the others",
    async (bench) => {
      const broker = await bench.broker();
      await broker.publish(counted(6));
      const gate = new Gate();
      const seen: number[][] = [];
      let first: Batch<Counted> | undefined;
      await broker.subscribe(Counted, async (batch: Batch<Counted>) => {
        seen.push(numbersOf(batch.events));
        if (seen.length > 1) return;
        await assertRejects(() => batch.ack(counted(1)[0]!), TypeError, "no event of this batch");
        await batch.ack(...batch.events.slice(0, 4));
        await batch.ack(batch.events[0]!);
        await gate.opened;
        first = batch;
        throw new Error("not yet");
      }, { group: "group", retry: SOON, batch: { size: 6 } });
      await until(async () => (await groupOf(broker, Counted)).pending === 2, "four events are acknowledged");
      gate.open();
      await settled(broker, Counted);
      assertEquals(seen[0], [0, 1, 2, 3, 4, 5]);
      assertEquals(seen.slice(1).flat().toSorted(), [4, 5]);
      await assertRejects(() => first!.ack(first!.events[5]!), TypeError, "its handler has ended");
    },
  ),

  contract("9, 53", "A batch has several events of a key in order, also after failures", async (bench) => {
    const broker = await bench.broker();
    const keys = ["a", "b", "c"];
    await broker.publish(counted(300, 0, (n) => keys[n % 3]!));
    const done = new Map<string, number[]>();
    const begun = new Map<string, Set<Batch<Counted>>>();
    let largest = 0;
    let batchesSeen = 0;
    await broker.subscribe(Counted, async (batch) => {
      for (const { detail: { key } } of batch.events) {
        const running = begun.get(key!) ?? new Set();
        begun.set(key!, running.add(batch));
        assertEquals(running.size, 1, "two batches with events of one key run at once");
      }
      await sleep(1);
      for (const key of keys) begun.get(key)?.delete(batch);
      largest = Math.max(largest, batch.events.filter(({ detail }) => detail.key === "a").length);
      const nth = ++batchesSeen;
      const failed = nth % 3 === 0 ? batch.events.filter(({ detail }) => detail.n % 5 === 0) : [];
      if (nth % 7 === 0) throw new Error("all of it");
      const held = new Set<string>();
      for (const event of batch.events) {
        const { n, key } = event.detail;
        if (failed.includes(event)) held.add(key!);
        else if (!held.has(key!)) done.set(key!, [...done.get(key!) ?? [], n]);
      }
      if (failed.length > 0) throw new BatchError(failed);
    }, { group: "group", retry: SOON, key: ({ detail }) => detail.key!, concurrency: 2, batch: { size: 20, wait: 2 } });
    await settled(broker, Counted, "group", 30_000);
    assert(largest > 1, "no batch had two events of one key");
    for (const [nth, key] of keys.entries()) {
      assertEquals(done.get(key), Array.from({ length: 100 }, (_, i) => 3 * i + nth));
    }
  }),

  contract("43, 53", "Events of a batch behind a dead letter of their key wait for it", async (bench) => {
    const broker = await bench.broker();
    await broker.publish(counted(8, 0, (n) => n % 2 === 0 ? "a" : "b"));
    const handled: number[] = [];
    let fatal = true;
    await broker.subscribe(Counted, (batch) => {
      const failed = batch.events.find(({ detail }) => detail.n === 2);
      const after = batch.events.filter(({ detail }) => fatal && failed && detail.key === "a" && detail.n > 2);
      const bad = fatal && failed ? new Map([[failed, new PermanentError("no good")]]) : new Map();
      handled.push(...numbersOf(batch.events.filter((event) => !bad.has(event) && !after.includes(event))));
      if (bad.size > 0) throw new BatchError(bad);
    }, { group: "group", whenDead: "hold-key", key: ({ detail }) => detail.key!, batch: { size: 8, wait: 5 } });
    await until(async () => (await groupOf(broker, Counted)).held.waiting === 2, "two events wait");
    assertEquals(handled.toSorted(), [0, 1, 3, 5, 7]);
    fatal = false;
    assertEquals(await broker.redrive(Counted, { group: "group" }), 1);
    await settled(broker, Counted);
    assertEquals(handled.slice(5), [2, 4, 6]);
  }),

  contract("32, 53", "close() releases what gathers, and waits for the batch that runs", async (bench) => {
    const broker = await bench.broker();
    await broker.publish(counted(15));
    const gate = new Gate();
    const seen: number[] = [];
    const started = new Gate();
    const subscription = await broker.subscribe(Counted, async (batch) => {
      started.open();
      await gate.opened;
      seen.push(...numbersOf(batch.events));
    }, { group: "group", batch: { size: 10, wait: 60_000 } });
    await within(started.opened, "the first batch");
    await until(() => subscription.info().held === 15, "the others gather");
    const closing = subscription.close();
    gate.open();
    await closing;
    assertEquals(seen, counted(10).map(({ detail }) => detail.n));
    await broker.subscribe(Counted, (_, { event: { detail }, attempt }) => void seen.push(detail.n * attempt), {
      group: "group",
    });
    await settled(broker, Counted);
    assertSame(seen.map(String), counted(15).map(({ detail }) => String(detail.n)));
  }),

  contract("12, 53", "handlerTimeout fails all events of a batch at once, and aborts its signal", async (bench) => {
    const broker = await bench.broker();
    await broker.publish(counted(5));
    const reasons: string[] = [];
    const attempts: number[] = [];
    await broker.subscribe(Counted, async (batch) => {
      if (batch.deliveries[0]!.attempt > 1) {
        return void attempts.push(...batch.deliveries.map(({ attempt }) => attempt));
      }
      await new Promise<void>((resolve) => batch.signal.addEventListener("abort", () => resolve()));
      reasons.push(batch.signal.reason.name);
    }, { group: "group", retry: SOON, handlerTimeout: 30, batch: { size: 5, wait: 10 } });
    await settled(broker, Counted);
    assertEquals(reasons, ["TimeoutError"]);
    assertEquals(attempts, [2, 2, 2, 2, 2]);
  }),

  contract("12, 17, 53", "A batch whose deliveries are lost settles nothing, and its signal aborts", async (bench) => {
    const broker = await bench.broker();
    await broker.publish(counted(4));
    const lost = Promise.withResolvers<unknown>();
    const seen: number[] = [];
    const begun = new Gate();
    await broker.subscribe(Counted, async (batch) => {
      if (seen.length > 0 || numbersOf(batch.events)[0] !== 0) return void seen.push(...numbersOf(batch.events));
      seen.push(-1);
      begun.open();
      const aborted = new Promise<void>((resolve) => batch.signal.addEventListener("abort", () => resolve()));
      await aborted;
      await assertRejects(() => batch.ack(batch.events[0]!), LeaseLostError);
      lost.resolve(batch.signal.reason);
    }, { group: "group", lease: LEASE, batch: { size: 4, wait: 10 } });
    await within(begun.opened, "the batch");
    await broker.rewind(Counted, { group: "group", to: "beginning" });
    assert(await within(lost.promise, "the loss") instanceof LeaseLostError);
    await until(() => seen.length === 5, "the events came again");
    await settled(broker, Counted);
    assertEquals(seen, [-1, 0, 1, 2, 3]);
  }),

  contract("23, 53", "A suspect event is a batch of its own", async (bench) => {
    const broker = await bench.broker();
    const store = await bench.store();
    await broker.publish(counted(6));
    for (const _ of [1, 2]) await bench.die(store, 1);
    const sizes = new Map<number, number>();
    await broker.subscribe(Counted, async (batch) => {
      for (const n of numbersOf(batch.events)) sizes.set(n, batch.events.length);
      await sleep(1);
    }, { group: "group", batch: { size: 3, wait: 10 } });
    await settled(broker, Counted);
    const suspects = [...sizes].filter(([, size]) => size === 1).map(([n]) => n);
    assert(suspects.includes(0), `The suspect was in a batch of ${sizes.get(0)}`);
  }, "store"),

  contract("51, 53", "A pause keeps batches from starting, and what gathered comes after it", async (bench) => {
    const broker = await bench.broker();
    await broker.publish(counted(5));
    const seen: number[] = [];
    const subscription = await broker.subscribe(Counted, (batch) => void seen.push(...numbersOf(batch.events)), {
      group: "group",
      batch: { size: 10, wait: 3_600_000 },
    });
    await until(() => subscription.info().held === 5, "the events gather");
    await broker.pause(Counted, { group: "group" });
    await until(async () => (await groupOf(broker, Counted)).consumers[0]!.pending === 0, "they have returned");
    await broker.publish(counted(5, 5));
    assertEquals(seen, []);
    await broker.resume(Counted, { group: "group" });
    await settled(broker, Counted);
    assertEquals(seen, counted(10).map(({ detail }) => detail.n));
  }),

  contract(
    "45, 46, 53",
    "Batches of a stream with partitions keep the order of each subject over consumers",
    async (bench) => {
      const options = { streams: { Booked: { partitions: 4 } } };
      const [one, two] = [await bench.connect([Booked], options), await bench.connect([Booked], options)];
      const seen = new Map<string, number[]>();
      const subscribe = (broker: typeof one) =>
        broker.subscribe(Booked, async (batch) => {
          await sleep(1);
          for (const { detail: { account, n } } of batch.events) {
            seen.set(account, [...seen.get(account) ?? [], n]);
          }
        }, { group: "group", concurrency: 2, batch: { size: 8, wait: 5 } });
      const first = await subscribe(one);
      const publishing = (async () => {
        for (let n = 0; n < 40; n++) {
          await one.publish(ACCOUNTS.map((account) => new Booked({ account, n })));
          await sleep(2);
        }
      })();
      await subscribe(two);
      await publishing;
      await first.close();
      await until(() => ACCOUNTS.every((account) => seen.get(account)?.length === 40), "all events were handled");
      for (const account of ACCOUNTS) assertEquals(seen.get(account), Array.from({ length: 40 }, (_, n) => n));
    },
  ),

  contract("53", "subscribe() refuses batches that cannot be", async (bench) => {
    const broker = await bench.broker();
    const subscribe = (batch: object, more: object = {}) =>
      broker.subscribe(Counted, () => {}, { group: "group", batch: batch as { size: number }, ...more });
    await assertRejects(() => subscribe({ size: 500 }, { prefetch: 100 }), TypeError, "prefetch is 100");
    for (const size of [0, -1, 1.5, NaN, 10_001]) {
      await assertRejects(() => subscribe({ size }), RangeError, "batch.size");
    }
    await assertRejects(() => subscribe({}), RangeError, "batch.size");
    await assertRejects(() => subscribe({ size: 1, wait: Infinity }), RangeError, "batch.wait");
    await assertRejects(() => subscribe({ size: 1, bytes: 0 }), RangeError, "batch.bytes");
    await assertRejects(() => subscribe({ size: 1, count: 1 }), TypeError, "count");
  }),
];
