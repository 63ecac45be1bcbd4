import { assert, assertEquals } from "@std/assert";
import type { Delivery } from "../../../broker/mod.ts";
import { StoreError } from "../../../store/mod.ts";
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
  SOON,
  until,
} from "../../_broker_bench.ts";
import { FaultyStore } from "../../_faulty_store.ts";

// Due long after the test.
const LATER = { minTimeout: 3_600_000, maxTimeout: 3_600_000, jitter: 0 };

export const ordering: readonly BrokerContract[] = [
  contract("5", "subscribe() runs handlers one at a time, in order, by default", async (bench) => {
    const broker = await bench.broker();
    const events = counted(200);
    const first: Counted[] = [];
    let running = 0;
    let most = 0;
    await broker.subscribe(Counted, async (event, { attempt }) => {
      most = Math.max(most, ++running);
      if (attempt === 1) first.push(event);
      await Promise.resolve();
      if (event.detail.n % 50 === 3) await sleep(1);
      running--;
      if (event.detail.n % 10 === 0 && attempt < 3) throw new Error("again");
    }, { group: "group", retry: SOON });
    await broker.publish(events);
    await settled(broker, Counted);
    assertOrder(first, events);
    assertEquals(most, 1);
  }),

  contract("5", "subscribe() runs at most concurrency handlers at once", async (bench) => {
    const broker = await bench.broker();
    const gate = new Gate();
    const seen = new Seen<Counted>();
    let running = 0;
    let most = 0;
    await broker.subscribe(Counted, async (event) => {
      most = Math.max(most, ++running);
      seen.handler(event);
      await gate.opened;
      await sleep(Math.random() * 3);
      running--;
    }, { group: "group", concurrency: 7 });
    const events = counted(100);
    await broker.publish(events);
    await until(() => running === 7, "seven handlers run");
    assertOrder(seen.ids, events.slice(0, 7));
    gate.open();
    await settled(broker, Counted);
    assertEquals(most, 7);
    assertOrder(seen.ids, events);
  }),

  contract("5", "subscribe() starts the second event of a key after the first is settled", async (bench) => {
    const broker = await bench.broker();
    const log: string[] = [];
    await broker.subscribe(Counted, async ({ detail: { n } }, { attempt }) => {
      log.push(`${n}/${attempt} starts`);
      await sleep(1);
      log.push(`${n}/${attempt} ends`);
      if (n === 0 && attempt < 3) throw new Error("again");
      if (n === 1) throw new Error("never");
    }, { group: "group", concurrency: 5, key: () => "", retry: { ...SOON, maxAttempts: 3 } });
    await broker.publish(counted(4));
    await settled(broker, Counted);
    const runs = ["0/1", "0/2", "0/3", "1/1", "1/2", "1/3", "2/1", "3/1"];
    assertEquals(log, runs.flatMap((run) => [`${run} starts`, `${run} ends`]));
    assertEquals((await lettersOf(broker, Counted)).length, 1);
  }),

  contract("9", "subscribe() keeps the order of 16 keys when some events fail twice", async (bench) => {
    const broker = await bench.broker();
    const events = counted(1_000, 0, (n) => `key ${n * 7 % 16}`);
    const handled = new Map<string, Counted[]>();
    const busy = new Set<string>();
    let overlaps = 0;
    let most = 0;
    await broker.subscribe(Counted, async (event, { attempt }) => {
      const key = event.detail.key!;
      if (busy.has(key)) overlaps++;
      busy.add(key);
      most = Math.max(most, busy.size);
      await (event.detail.n % 3 === 0 ? sleep(Math.random() * 2) : Promise.resolve());
      busy.delete(key);
      if (event.detail.n % 10 === 0 && attempt <= 2) throw new Error("again");
      handled.set(key, [...handled.get(key) ?? [], event]);
    }, { group: "group", concurrency: 16, key: (event) => event.detail.key!, retry: SOON });
    for (let at = 0; at < 1_000; at += 250) await broker.publish(events.slice(at, at + 250));
    await settled(broker, Counted);
    assertEquals({ overlaps, keys: handled.size }, { overlaps: 0, keys: 16 });
    assert(most > 4, `At most ${most} keys were handled at once`);
    for (const [key, mine] of handled) assertOrder(mine, events.filter(({ detail }) => detail.key === key));
  }),

  contract("31", "subscribe() holds at most prefetch deliveries behind a slow handler", async (bench) => {
    const broker = await bench.broker();
    const events = counted(3_000);
    for (let at = 0; at < 3_000; at += 500) await broker.publish(events.slice(at, at + 500));
    const gate = new Gate();
    const seen = new Seen<Counted>();
    const slow = async (event: Counted) => {
      seen.handler(event);
      await gate.opened;
    };
    await broker.subscribe(Counted, slow, { group: "fixed", concurrency: 2, prefetch: 10 });
    await broker.subscribe(Counted, slow, { group: "adaptive", concurrency: 2 });
    await until(() => seen.events.length === 4, "two handlers run in each group");
    for (let look = 0; look < 5; look++) {
      await sleep(10);
      const [fixed, adaptive] = [await groupOf(broker, Counted, "fixed"), await groupOf(broker, Counted, "adaptive")];
      assertEquals([fixed.pending, adaptive.pending], [10, 2]);
      assertEquals([fixed.lag, adaptive.lag], [2_990, 2_998]);
    }
    gate.open();
    await settled(broker, Counted, "fixed");
    await settled(broker, Counted, "adaptive");
    assertSame(seen.ids, [...events, ...events]);
  }),

  contract("31", "info() reports a consumer stalled when one key fills its prefetch", async (bench) => {
    const broker = await bench.broker();
    const gate = new Gate();
    const seen = new Seen<Counted>();
    await broker.subscribe(Counted, async (event) => {
      if (event.detail.key === "stuck") await gate.opened;
      seen.handler(event);
    }, { group: "group", concurrency: 4, prefetch: 10, key: (event) => event.detail.key! });
    const stuck = counted(30, 0, () => "stuck");
    await broker.publish(stuck);
    const stalled = async () => (await groupOf(broker, Counted)).consumers.map(({ stalled }) => stalled);
    await until(async () => (await stalled())[0] === true, "the consumer is stalled");
    const { pending, lag } = await groupOf(broker, Counted);
    assertEquals({ pending, lag }, { pending: 10, lag: 20 });
    gate.open();
    await settled(broker, Counted);
    await until(async () => (await stalled())[0] === false, "the consumer is no longer stalled");
    assertOrder(seen.ids, stuck);
  }),

  contract("31", "subscribe() stops reading when keys waiting for a retry fill prefetch", async (bench) => {
    const broker = await bench.broker();
    let attempts = 0;
    const subscription = await broker.subscribe(Counted, () => {
      attempts++;
      throw new Error("not now");
    }, { group: "group", prefetch: 100, key: ({ detail }) => detail.key!, retry: LATER });
    await broker.publish(counted(300, 0, (n) => `key ${n}`));
    await until(async () => (await groupOf(broker, Counted)).consumers[0]!.stalled, "the consumer is stalled");
    await until(async () => (await groupOf(broker, Counted)).retrying === 100, "one event of each key waits");
    const { pending, lag } = await groupOf(broker, Counted);
    assertEquals({ attempts, pending, lag }, { attempts: 100, pending: 100, lag: 200 });
    // Closing releases them with their due times.
    await subscription.close();
    const { pending: left, retrying, consumers } = await groupOf(broker, Counted);
    assertEquals({ left, retrying, consumers }, { left: 100, retrying: 100, consumers: [] });
  }),

  contract("31", "subscribe() holds no delivery waiting for a retry when there is no key", async (bench) => {
    const broker = await bench.broker();
    let attempts = 0;
    await broker.subscribe(Counted, () => {
      attempts++;
      throw new Error("not now");
    }, { group: "group", prefetch: 10, retry: LATER });
    await broker.publish(counted(300));
    await until(async () => (await groupOf(broker, Counted)).retrying === 300, "all events wait");
    const { pending, lag, consumers } = await groupOf(broker, Counted);
    assertEquals({ attempts, pending, lag }, { attempts: 300, pending: 300, lag: 0 });
    assertEquals(consumers.map(({ pending, stalled }) => ({ pending, stalled })), [{ pending: 0, stalled: false }]);
  }),

  contract("31", "subscribe() handles other keys while one key fills part of prefetch", async (bench) => {
    const broker = await bench.broker();
    const gate = new Gate();
    const seen = new Seen<Counted>();
    await broker.subscribe(Counted, async (event) => {
      if (event.detail.key === "stuck") await gate.opened;
      seen.handler(event);
    }, { group: "group", concurrency: 3, prefetch: 10, key: (event) => event.detail.key! });
    const stuck = counted(8, 0, () => "stuck");
    const others = counted(100, 8, (n) => `other ${n % 5}`);
    await broker.publish([...stuck, ...others]);
    await seen.count(100);
    assertSame(seen.ids, others);
    gate.open();
    await settled(broker, Counted);
    assertSame(seen.ids, [...others, ...stuck]);
  }),

  contract("9, 29", "subscribe() starts no queued event of a key after a rewind dropped it", async (bench) => {
    const broker = await bench.broker();
    const events = counted(4);
    await broker.publish(events);
    const handled: number[] = [];
    await broker.subscribe(Counted, ({ detail: { n } }) => {
      handled.push(n);
      if (handled.length === 1) throw new Error("later");
    }, { group: "group", concurrency: 4, key: () => "", retry: LATER });
    await until(async () => (await groupOf(broker, Counted)).retrying === 1, "the first waits for its next attempt");
    await until(async () => (await groupOf(broker, Counted)).pending === 4, "the others wait behind it");
    await broker.rewind(Counted, { group: "group", to: "beginning" });
    await settled(broker, Counted);
    assertEquals(handled, [0, 0, 1, 2, 3]);
  }),

  contract("9, 21", "subscribe() counts a failed attempt once when the settle reply is lost", async (bench) => {
    let faulty: FaultyStore | undefined;
    const broker = await bench.over((store) => faulty = new FaultyStore(store), { events: [Counted] });
    const settles: number[] = [];
    faulty!.onMember = (member) => ({
      consumer: member.consumer,
      claim: (options) => member.claim(options),
      renew: (held, options) => member.renew(held, options),
      held: (deliveries) => member.held(deliveries),
      control: () => member.control(),
      keep: (delivery, name, text) => member.keep(delivery, name, text),
      kept: (delivery) => member.kept(delivery),
      leave: () => member.leave(),
      settle: async (outcomes) => {
        const refused = await member.settle(outcomes);
        if (settles.push(outcomes.length) <= 2) throw new StoreError("uncertain", "the answer was lost");
        return refused;
      },
    });
    const attempts: number[] = [];
    let failing = true;
    const handler = (_event: Counted, delivery: Delivery<Counted>) => {
      attempts.push(delivery.attempt);
      if (failing) throw new Error("not yet");
    };
    const retry = { minTimeout: 400, maxTimeout: 400, jitter: 0, maxAttempts: Infinity };
    const options = { group: "group", key: () => "", retry };
    const subscription = await broker.subscribe(Counted, handler, options);
    const retried = new Promise((resolve) => subscription.addEventListener("retry", resolve));
    await broker.publish(counted(1));
    await retried;
    assertEquals(settles.slice(0, 3), [1, 1, 1]);
    // The delivery is released, so that the store's count decides about the next attempt.
    await subscription.close();
    failing = false;
    await broker.subscribe(Counted, handler, options);
    await settled(broker, Counted);
    // On a busy machine, the second attempt may have failed before the close.
    assert(attempts.length >= 2);
    assertEquals(attempts, attempts.map((_, nth) => nth + 1));
  }, "store"),

  contract("4", "subscribe() counts a failed attempt when key throws or returns no string", async (bench) => {
    const broker = await bench.broker();
    const seen = new Seen<Counted>();
    const calls = [0, 0];
    await broker.subscribe(Counted, seen.handler, {
      group: "group",
      retry: { ...SOON, maxAttempts: 3 },
      key: ({ detail: { n } }) => {
        if (n === 0 && calls[0]!++ >= 0) throw new Error("no key");
        if (n === 1 && calls[1]!++ < 2) return 5 as unknown as string;
        return "key";
      },
    });
    const events = counted(3);
    await broker.publish(events);
    await settled(broker, Counted);
    assertSame(seen.ids, events.slice(1));
    assertEquals(calls, [3, 3]);
    const [letter, ...others] = await lettersOf(broker, Counted);
    assertEquals([letter?.event?.id, letter?.error.message, others.length], [events[0]!.id, "no key", 0]);
  }),
];
