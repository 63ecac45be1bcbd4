import { assert, assertEquals, assertRejects } from "@std/assert";
import type { PulledDelivery } from "../../../broker/mod.ts";
import {
  assertOrder,
  assertSame,
  type BrokerContract,
  contract,
  Counted,
  counted,
  groupOf,
  Seen,
  settled,
  sleep,
  STREAM,
  until,
} from "../../_broker_bench.ts";

const group = "group";
// How much later or earlier than it is due a start may be seen, in milliseconds.
const SLACK = 30;

/**
 * Asserts that no more starts had come at any time than the rate allows since the test began. A busy machine may make a start
 * late, so that the next one comes soon after it.
 */
function assertRate(
  starts: readonly number[],
  { limit, per, burst = 1 }: { limit: number; per: number; burst?: number },
  began: number,
) {
  for (const [nth, at] of starts.toSorted((a, b) => a - b).entries()) {
    const least = (nth + 1 - burst) * per / limit;
    assert(at - began >= least - SLACK, `${nth + 1} starts after ${at - began} ms, at least ${least} ms are needed`);
  }
}

/** Contracts of rates. */
export const rating: readonly BrokerContract[] = [
  contract("52", "rate limits the starts of all consumers of a group together", async (bench) => {
    const began = performance.now();
    const rate = { limit: 50, per: 500 };
    const starts: number[] = [];
    const seen = new Seen<Counted>();
    const handle = (event: Counted) => {
      starts.push(performance.now());
      seen.handler(event);
    };
    const [one, two] = [await bench.broker(), await bench.broker()];
    for (const broker of [one, two]) {
      await broker.subscribe(Counted, handle, { group, concurrency: 10, prefetch: 20, rate });
    }
    const events = counted(80);
    await one.publish(events);
    await settled(one, Counted);
    assertSame(seen.events, events);
    assertRate(starts, rate, began);
  }),

  contract("52, 5", "rate keeps the order, and each attempt counts", async (bench) => {
    const began = performance.now();
    const broker = await bench.broker();
    const rate = { limit: 100, per: 1_000 };
    const starts: number[] = [];
    const seen = new Seen<Counted>();
    await broker.subscribe(Counted, (event, { attempt }) => {
      starts.push(performance.now());
      if (event.detail.n % 5 === 0 && attempt === 1) throw new Error("the first time fails");
      seen.handler(event);
    }, { group, key: () => "same", rate, retry: { minTimeout: 1, maxTimeout: 1 } });
    const events = counted(20);
    await broker.publish(events);
    await settled(broker, Counted);
    assertOrder(seen.events, events);
    assertEquals(starts.length, 24);
    assertRate(starts, rate, began);
  }),

  contract("52", "rate with burst starts so many at once, once", async (bench) => {
    const began = performance.now();
    const broker = await bench.broker();
    const rate = { limit: 10, per: 1_000, burst: 5 };
    const starts: number[] = [];
    await broker.subscribe(Counted, () => void starts.push(performance.now()), { group, concurrency: 10, rate });
    await broker.publish(counted(8));
    await settled(broker, Counted);
    assertRate(starts, rate, began);
  }),

  contract("52", "rate by key limits each key alone", async (bench) => {
    const broker = await bench.broker();
    const rate = { limit: 10, per: 1_000, by: ({ detail }: Counted) => detail.key! };
    const starts = new Map<string, number[]>();
    await broker.subscribe(Counted, ({ detail: { key } }) => {
      starts.set(key!, [...starts.get(key!) ?? [], performance.now()]);
    }, { group, concurrency: 100, rate });
    const began = performance.now();
    await broker.publish(counted(40, 0, (n) => `tenant-${n % 10}`));
    await settled(broker, Counted);
    const took = performance.now() - began;
    assertEquals([...starts.values()].map(({ length }) => length), Array(10).fill(4));
    for (const own of starts.values()) assertRate(own, rate, began);
    assert(took < 3_000, `it took ${took} ms, as if all keys had one limit`);
  }),

  contract("52", "setRate() changes the limit while consumers run, and undefined takes it back", async (bench) => {
    const [operator, broker] = [await bench.broker(), await bench.broker()];
    const seen = new Seen<Counted>();
    await broker.subscribe(Counted, seen.handler, { group, rate: { limit: 1, per: 60_000 } });
    await operator.publish(counted(60));
    await seen.count(1);
    assertEquals(await operator.setRate(Counted, { group, rate: { limit: 1_000, per: 1_000 } }), true);
    assertEquals(await operator.setRate(Counted, { group, rate: { limit: 1_000, per: 1_000 } }), false);
    await seen.count(50);
    assertEquals((await groupOf(operator, Counted)).rate, { limit: 1_000, per: 1_000 });
    await settled(operator, Counted);
    assertEquals(await operator.setRate(Counted, { group, rate: undefined }), true);
    assertEquals((await groupOf(operator, Counted)).rate, undefined);
  }),

  contract("52", "setRate() limits a group whose subscriptions have no rate", async (bench) => {
    const began = performance.now();
    const [operator, broker] = [await bench.broker(), await bench.broker()];
    const starts: number[] = [];
    const subscription = await broker.subscribe(Counted, () => void starts.push(performance.now()), { group });
    const rate = { limit: 20, per: 1_000 };
    await operator.setRate(Counted, { group, rate });
    // The consumer has learned of it once a claim has told it.
    await sleep(200);
    await operator.publish(counted(6));
    await settled(operator, Counted);
    assertRate(starts, rate, began);
    assertEquals(subscription.info().lastError, undefined);
  }),

  contract("52, 1", "rate limits how fast consume() yields", async (bench) => {
    const began = performance.now();
    const broker = await bench.broker();
    await broker.publish(counted(6));
    const rate = { limit: 20, per: 1_000 };
    const pulls: number[] = [];
    for await (const delivery of broker.consume(Counted, { group, rate })) {
      pulls.push(performance.now());
      await (delivery as PulledDelivery<Counted>).ack();
      if (pulls.length === 6) break;
    }
    assertRate(pulls, rate, began);
  }),

  contract("52, 32", "a subscription that waits for its rate closes at once, and loses nothing", async (bench) => {
    const broker = await bench.broker();
    const seen = new Seen<Counted>();
    const rate = { limit: 1, per: 60_000 };
    const subscription = await broker.subscribe(Counted, seen.handler, { group, rate });
    await broker.publish(counted(5));
    await seen.count(1);
    const before = performance.now();
    await subscription.close();
    assert(performance.now() - before < 3_000);
    const store = await bench.store();
    const [state] = (await store.admin(STREAM).info()).groups;
    assertEquals(state!.lag + state!.pending, 4);
    assertEquals(state!.consumers, []);
  }, "store"),

  contract("52, 34", "rate refuses bad input", async (bench) => {
    const broker = await bench.broker();
    const subscribe = (rate: object) => broker.subscribe(Counted, () => {}, { group, rate: rate as never });
    for (const limit of [0, -1, NaN, 1.5, Infinity, 1e7]) {
      await assertRejects(() => subscribe({ limit, per: 1_000 }), RangeError, "rate.limit");
    }
    for (const per of [0, NaN, Infinity]) {
      await assertRejects(() => subscribe({ limit: 1, per }), RangeError, "rate.per");
    }
    await assertRejects(() => subscribe({ limit: 1, per: 1, burst: 0 }), RangeError, "rate.burst");
    await assertRejects(() => subscribe({ limit: 1, per: 1, by: "tenant" }), TypeError, "a function");
    await assertRejects(() => subscribe({ limit: 1, per: 1, every: 1 }), TypeError, "every");
    await broker.subscribe(Counted, () => {}, { group });
    await assertRejects(() => broker.setRate(Counted, { group, rate: { limit: 0, per: 1 } }), RangeError, "rate.limit");
    await assertRejects(
      () => broker.setRate(Counted, { group: "none", rate: undefined }),
      RangeError,
      "Cannot find group",
    );
  }),

  contract("52", "rate with a key that is no string fails the attempt", async (bench) => {
    const broker = await bench.broker();
    const errors: string[] = [];
    const by = ({ detail }: Counted) => detail.key as string;
    const subscription = await broker.subscribe(Counted, () => {}, {
      group,
      rate: { limit: 10, per: 1_000, by },
      retry: { maxAttempts: 1 },
    });
    subscription.addEventListener("deadletter", ({ error }) => errors.push((error as Error).message));
    await broker.publish(counted(1));
    await until(() => errors.length === 1, "the event is a dead letter");
    assert(errors[0]!.includes("must be a string"), errors[0]);
  }),
];
