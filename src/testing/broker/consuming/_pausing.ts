import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  type Delivery,
  type EventBroker,
  type PauseEvent,
  type PulledDelivery,
  RateLimitedError,
  type ResumeEvent,
} from "../../../broker/mod.ts";
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
  Other,
  Seen,
  settled,
  sleep,
  SOON,
  STREAM,
  told,
  until,
  within,
} from "../../_broker_bench.ts";

const group = "group";
/** A time in which a consumer that goes on would have handled an event, in milliseconds. */
const WHILE = 150;

/** Waits until a subscription knows that it is paused, or that it is not. */
async function knows(events: readonly Event[], count: number): Promise<void> {
  await until(() => events.length >= count, `the subscription tells ${count} times that it pauses or goes on`);
}

/** Contracts of paused groups and consumers. */
export const pausing: readonly BrokerContract[] = [
  contract("51", "pause() keeps a group from starting handlers, and resume() goes on in order", async (bench) => {
    const broker = await bench.broker();
    const seen = new Seen<Counted>();
    const subscription = await broker.subscribe(Counted, seen.handler, { group });
    const [pauses, resumes] = [told<PauseEvent>(subscription, "pause"), told<ResumeEvent>(subscription, "resume")];
    const brokerPauses = told<PauseEvent>(broker, "pause");
    await broker.publish(counted(3));
    await seen.count(3);
    assertEquals(await broker.pause(Counted, { group, reason: "The bank is down" }), true);
    assertEquals(await broker.pause(Counted, { group }), false);
    const later = counted(30, 3);
    await broker.publish(later);
    await sleep(WHILE);
    assertEquals(seen.events.length, 3);
    const { paused, lag, pending } = await groupOf(broker, Counted);
    assertEquals([paused?.reason, paused?.until, lag + pending], ["The bank is down", undefined, 30]);
    assert(Math.abs(paused!.since.getTime() - Date.now()) < 60_000);
    for (const events of [pauses, brokerPauses]) {
      assertEquals(events.map(({ group, eventType, scope, reason }) => ({ group, eventType, scope, reason })), [
        { group, eventType: "Counted", scope: "group", reason: "The bank is down" },
      ]);
    }
    assertEquals(subscription.info().types[0]!.paused?.reason, "The bank is down");
    assertEquals(await broker.resume(Counted, { group }), true);
    assertEquals(await broker.resume(Counted, { group }), false);
    await seen.count(33);
    assertOrder(seen.events.slice(3), later);
    assertEquals(resumes.map(({ group, eventType, scope }) => ({ group, eventType, scope })), [
      { group, eventType: "Counted", scope: "group" },
    ]);
    assertEquals([(await groupOf(broker, Counted)).paused, subscription.info().types[0]!.paused], [
      undefined,
      undefined,
    ]);
  }),

  contract(
    "51",
    "pause() reaches consumers of other brokers that wait, that are full, and that are busy",
    async (bench) => {
      const operator = await bench.broker();
      const gate = new Gate();
      const started: number[] = [];
      const idle = await bench.broker();
      const full = await bench.broker();
      await operator.publish(counted(6));
      const busy = await full.subscribe(Counted, async ({ detail: { n } }) => {
        started.push(n);
        await gate.opened;
      }, { group, prefetch: 4, concurrency: 2 });
      await until(() => started.length === 2 && busy.info().held === 4, "the consumer is full");
      const seen = new Seen<Counted>();
      await full.publish(counted(1, 100));
      const waiting = await idle.subscribe(Counted, seen.handler, { group });
      await seen.count(3);
      const told1 = told<PauseEvent>(busy, "pause");
      const told2 = told<PauseEvent>(waiting, "pause");
      await operator.pause(Counted, { group });
      await knows(told1, 1);
      await knows(told2, 1);
      // Handlers that run are finished and settled. What waited returned to the group.
      await until(() => busy.info().held === 2, "the consumer has released what waited");
      gate.open();
      await until(async () => (await groupOf(operator, Counted)).pending === 2, "the running handlers are settled");
      await operator.publish(counted(2, 200));
      await sleep(WHILE);
      assertEquals([started.length, seen.events.length, busy.info().held, waiting.info().held], [2, 3, 0, 0]);
      await operator.resume(Counted, { group });
      await settled(operator, Counted);
      assertEquals(started.length + seen.events.length, 9);
    },
  ),

  contract("51, 5", "pause() counts no attempt of released deliveries, and keeps their order", async (bench) => {
    const broker = await bench.broker();
    const gate = new Gate();
    const handled: [n: number, attempt: number, recovered: number][] = [];
    const subscription = await broker.subscribe(Counted, async ({ detail: { n } }, { attempt, recovered }) => {
      if (n === 0) await gate.opened;
      handled.push([n, attempt, recovered]);
    }, { group, prefetch: 200, key: () => "same" });
    const pauses = told<PauseEvent>(subscription, "pause");
    await broker.publish(counted(120));
    await until(() => subscription.info().held === 120, "all are held");
    await broker.pause(Counted, { group });
    await knows(pauses, 1);
    gate.open();
    await until(async () => (await groupOf(broker, Counted)).pending === 119, "the first one is settled");
    await broker.resume(Counted, { group });
    await settled(broker, Counted);
    assertEquals(handled, Array.from({ length: 120 }, (_, n) => [n, 1, 0]));
  }),

  contract("51, 21", "pause() keeps due times of retries, and none starts", async (bench) => {
    const broker = await bench.broker();
    const attempts: number[] = [];
    const subscription = await broker.subscribe(Counted, (_event, { attempt }) => {
      attempts.push(attempt);
      if (attempt === 1) throw new Error("the first time fails");
    }, { group, key: () => "same", retry: { minTimeout: 100, jitter: 0 } });
    const retries = told(subscription, "retry");
    await broker.publish(counted(1));
    await until(() => retries.length === 1, "the first attempt has failed");
    await broker.pause(Counted, { group });
    await sleep(WHILE);
    assertEquals(attempts, [1]);
    await broker.resume(Counted, { group });
    await settled(broker, Counted);
    assertEquals(attempts, [1, 2]);
  }),

  contract("51, 6", "a pause outlives all brokers, and a subscription that starts paused says so", async (bench) => {
    {
      await using broker = await bench.under.connect([Counted]);
      await broker.subscribe(Counted, () => {}, { group });
      await broker.pause(Counted, { group, reason: "maintenance" });
    }
    const broker = await bench.broker();
    const events = counted(5);
    await broker.publish(events);
    const seen = new Seen<Counted>();
    const subscription = await broker.subscribe(Counted, seen.handler, { group });
    const pauses = told<PauseEvent>(subscription, "pause");
    await knows(pauses, 1);
    assertEquals(pauses[0]!.reason, "maintenance");
    await sleep(WHILE);
    assertEquals(seen.events.length, 0);
    await broker.resume(Counted, { group });
    await seen.count(5);
    assertOrder(seen.events, events);
  }),

  contract("51, 8", "a consumer that closes while it is paused leaves all events to the next one", async (bench) => {
    const broker = await bench.broker();
    const seen = new Seen<Counted>();
    const subscription = await broker.subscribe(Counted, seen.handler, { group });
    const pauses = told<PauseEvent>(subscription, "pause");
    await broker.pause(Counted, { group });
    await knows(pauses, 1);
    const events = counted(10);
    await broker.publish(events);
    await within(subscription.close(), "the paused subscription to close");
    assertEquals(seen.events.length, 0);
    await broker.resume(Counted, { group });
    await broker.subscribe(Counted, seen.handler, { group });
    await seen.count(10);
    assertOrder(seen.events, events);
  }),

  contract("51", "pause() and resume() in quick turns lose and double nothing", async (bench) => {
    const [one, two] = [await bench.broker(), await bench.broker()];
    const seen = new Seen<Counted>();
    for (const broker of [one, two]) {
      await broker.subscribe(Counted, async (event) => {
        await sleep(1);
        seen.handler(event);
      }, { group, concurrency: 4 });
    }
    const events = counted(300);
    const publishing = (async () => {
      for (let at = 0; at < events.length; at += 10) {
        await one.publish(events.slice(at, at + 10));
        await sleep(2);
      }
    })();
    for (let turn = 0; turn < 10; turn++) {
      await two.pause(Counted, { group });
      await sleep(turn);
      await one.resume(Counted, { group });
      await sleep(turn);
    }
    await publishing;
    await settled(one, Counted);
    assertSame(seen.events, events);
  }),

  contract("51, 1", "pause() keeps consume() from yielding, and what was not pulled returns", async (bench) => {
    const broker = await bench.broker();
    const events = counted(6);
    await broker.publish(events);
    const stop = new AbortController();
    const pulling = broker.consume(Counted, { group, prefetch: 4, signal: stop.signal });
    const next = async () => (await pulling.next()).value as PulledDelivery<Counted>;
    const first = await next();
    await until(async () => (await groupOf(broker, Counted)).pending === 4, "the consumer is full");
    await broker.pause(Counted, { group });
    await until(
      async () => (await groupOf(broker, Counted)).consumers[0]!.pending === 1,
      "what was not pulled has returned",
    );
    await first.ack();
    const second = next();
    assertEquals(await Promise.race([second, sleep(WHILE)]), undefined);
    await broker.resume(Counted, { group });
    const got = [first.event];
    for (let delivery = await second;; delivery = await next()) {
      got.push(delivery.event);
      assertEquals(delivery.attempt, 1);
      await delivery.ack();
      if (got.length === 6) break;
    }
    assertOrder(got, events);
    stop.abort();
    await pulling.next();
  }),

  contract("51, 11", "pause() of one group leaves other groups and types alone", async (bench) => {
    const broker = await bench.connect([Counted, Other]);
    const others = new Seen();
    await broker.subscribe(Counted, () => {}, { group });
    await broker.subscribe(Counted, others.handler, { group: "another" });
    await broker.subscribe(Other, others.handler, { group });
    await broker.pause(Counted, { group });
    await broker.publish([...counted(3), new Other({ n: 1 })]);
    await others.count(4);
    assertEquals((await groupOf(broker, Counted, "another")).paused, undefined);
    const { lag, pending } = await groupOf(broker, Counted);
    assertEquals(lag + pending, 3);
    await broker.resume(Counted, { group });
    await settled(broker, Counted);
  }),

  contract("51", "subscription.pause() pauses one consumer, and others take its events", async (bench) => {
    const [one, two] = [await bench.broker(), await bench.broker()];
    const [mine, theirs] = [new Seen<Counted>(), new Seen<Counted>()];
    const gate = new Gate();
    const subscription = await one.subscribe(Counted, async (event) => {
      mine.handler(event);
      await gate.opened;
    }, { group, prefetch: 5 });
    const pauses = told<PauseEvent>(subscription, "pause");
    const resumes = told<ResumeEvent>(subscription, "resume");
    await one.publish(counted(5));
    await until(() => subscription.info().held === 5, "the consumer is full");
    subscription.pause();
    subscription.pause();
    await two.subscribe(Counted, theirs.handler, { group });
    await theirs.count(4);
    await one.publish(counted(10, 5));
    await theirs.count(14);
    gate.open();
    await settled(one, Counted);
    assertEquals([mine.events.length, pauses.map(({ scope }) => scope)], [1, ["consumer"]]);
    assertEquals((await groupOf(one, Counted)).paused, undefined);
    assertEquals(subscription.info().types[0]!.paused?.scope, "consumer");
    subscription.resume();
    subscription.resume();
    assertEquals(resumes.map(({ scope }) => scope), ["consumer"]);
    await until(async () => {
      await one.publish(counted(4, 100));
      return mine.events.length > 1;
    }, "the consumer handles events again");
    await settled(one, Counted);
  }),

  contract(
    "51",
    "subscription.resume() ends no pause of the group, and resume() none of the subscription",
    async (bench) => {
      const broker = await bench.broker();
      const seen = new Seen<Counted>();
      const subscription = await broker.subscribe(Counted, seen.handler, { group });
      subscription.pause();
      await broker.pause(Counted, { group });
      await broker.publish(counted(2));
      subscription.resume();
      await sleep(WHILE);
      assertEquals([seen.events.length, subscription.info().types[0]!.paused?.scope], [0, "group"]);
      subscription.pause();
      await broker.resume(Counted, { group });
      await until(() => subscription.info().types[0]!.paused?.scope === "consumer", "the subscription alone is paused");
      await sleep(WHILE);
      assertEquals(seen.events.length, 0);
      subscription.resume();
      await seen.count(2);
    },
  ),

  contract(
    "51",
    "idle() resolves for a paused group once its handlers have ended, and health() shows it",
    async (bench) => {
      const broker = await bench.broker();
      const gate = new Gate();
      let ended = 0;
      const subscription = await broker.subscribe(Counted, async () => {
        await gate.opened;
        ended++;
      }, { group });
      const pauses = told<PauseEvent>(subscription, "pause");
      await broker.publish(counted(3));
      await until(() => subscription.info().running === 1, "a handler runs");
      await broker.pause(Counted, { group, reason: "slow" });
      await knows(pauses, 1);
      const idle = broker.idle({ group });
      assertEquals(await Promise.race([idle.then(() => "idle"), sleep(100)]), undefined);
      gate.open();
      await within(idle, "the paused group to be idle");
      assertEquals(ended, 1);
      const { ready, problems, subscriptions } = await broker.health();
      assertEquals([ready, problems], [true, []]);
      assertEquals(subscriptions[0]!.types[0]!.paused?.reason, "slow");
      await broker.resume(Counted, { group });
      await within(broker.idle({ group }), "the group to be idle");
      assertEquals(ended, 3);
    },
  ),

  contract("51, 34", "pause() and resume() refuse bad input, and name the groups there are", async (bench) => {
    const broker = await bench.broker();
    for (const call of ["pause", "resume"] as const) {
      const attempt = (options: unknown) => broker[call](Counted, options as { group: string });
      await assertRejects(() => attempt({ group: "none" }), RangeError, 'Cannot find group "none"');
      await assertRejects(() => attempt({}), TypeError);
      await assertRejects(() => attempt({ group, until: 1 }), TypeError, "until");
    }
    await broker.subscribe(Counted, () => {}, { group });
    await assertRejects(() => broker.pause(Counted, { group: "none" }), RangeError, 'the existing groups are "group"');
    await assertRejects(() => broker.pause(Counted, { group, reason: 7 as unknown as string }), TypeError, "a string");
    await assertRejects(() => broker.pause(Counted, { group, reason: "x".repeat(501) }), RangeError, "shorten it");
    await broker.pause(Counted, { group, reason: "ü".repeat(500) });
    assertEquals((await groupOf(broker, Counted)).paused?.reason?.length, 500);
    for (const pauseAfter of [{ failures: 0, for: 1 }, { failures: 1.5, for: 1 }, { failures: 1, for: NaN }]) {
      await assertRejects(() => broker.subscribe(Counted, () => {}, { group: "other", pauseAfter }), RangeError);
    }
    const unknown = { failures: 1, for: 1, after: 1 };
    await assertRejects(() => broker.subscribe(Counted, () => {}, { group: "other", pauseAfter: unknown }), TypeError);
  }),

  contract("51", "pauseAfter pauses the group after failures in a row, and goes on with one event", async (bench) => {
    const [one, two] = [await bench.broker(), await bench.broker()];
    let down = true;
    let attempts = 0;
    const options = { group, retry: { ...SOON, minTimeout: 1 }, pauseAfter: { failures: 4, for: 250 } };
    const handle = () => {
      attempts++;
      if (down) throw new Error("the bank is down");
    };
    const subscription = await one.subscribe(Counted, handle, options);
    const pauses = told<PauseEvent>(subscription, "pause");
    const resumes = told<ResumeEvent>(subscription, "resume");
    const lost = told(subscription, "leaselost");
    await one.publish(counted(20));
    await knows(pauses, 1);
    assert(attempts <= 5, `${attempts} attempts before the pause`);
    const { paused } = await groupOf(two, Counted);
    assertEquals(paused?.reason, "4 attempts in a row have failed: the bank is down");
    assertEquals(paused!.until!.getTime() - paused!.since.getTime(), 250);
    // Another process neither burns attempts.
    const other = await two.subscribe(Counted, handle, options);
    await knows(told<PauseEvent>(other, "pause"), 1);
    const before = attempts;
    await knows(resumes, 1);
    await knows(pauses, 2);
    // Each consumer has tried one event.
    assert(attempts - before <= 3, `${attempts - before} attempts before the second pause`);
    down = false;
    await settled(one, Counted);
    assertEquals([(await lettersOf(one, Counted)).length, lost.length], [0, 0]);
  }),

  contract("51", "pauseAfter counts each failed attempt once, also the one that pauses the group", async (bench) => {
    const broker = await bench.broker();
    for (const key of [undefined, () => "same"]) {
      const group = key === undefined ? "plain" : "keyed";
      const attempts: number[] = [];
      const options = {
        group,
        retry: SOON,
        pauseAfter: { failures: 2, for: 50 },
        startFrom: "now" as const,
        ...(key && { key }),
      };
      const subscription = await broker.subscribe(Counted, (_event, { attempt }) => {
        attempts.push(attempt);
        if (attempt < 6) throw new Error("not yet");
      }, options);
      const lost = told(subscription, "leaselost");
      await broker.publish(counted(1));
      await until(() => attempts.length > 5, "the sixth attempt succeeds");
      await settled(broker, Counted, group);
      assertEquals([attempts, lost.length], [[1, 2, 3, 4, 5, 6], 0]);
      await subscription.close();
    }
  }),

  contract(
    "51",
    "pauseAfter counts no failures with a success in between, and resume() ends its pause",
    async (bench) => {
      const broker = await bench.broker();
      let failing = false;
      const options = { group, retry: SOON, pauseAfter: { failures: 3, for: 60_000 } };
      const subscription = await broker.subscribe(Counted, (_event, { attempt }) => {
        if (failing || attempt < 3) throw new Error("not yet");
      }, options);
      const pauses = told<PauseEvent>(subscription, "pause");
      for (let n = 0; n < 5; n++) {
        await broker.publish(counted(1, n));
        await settled(broker, Counted);
      }
      assertEquals(pauses.length, 0);
      failing = true;
      await broker.publish(counted(1));
      await knows(pauses, 1);
      failing = false;
      assertEquals(await broker.resume(Counted, { group }), true);
      await settled(broker, Counted);
    },
  ),

  contract("51", "a RateLimitedError has the whole group wait that long, and counts no attempt", async (bench) => {
    const [one, two] = [await bench.broker(), await bench.broker()];
    const attempts: [n: number, attempt: number, at: number][] = [];
    let refusing = true;
    let refusedAt = 0;
    const handle = ({ detail: { n } }: Counted, { attempt }: Delivery<Counted>) => {
      attempts.push([n, attempt, performance.now()]);
      if (!refusing) return;
      refusing = false;
      refusedAt = performance.now();
      throw new RateLimitedError({ retryAfter: 400 });
    };
    const options = { group, retry: { maxAttempts: 1 } };
    const first = await one.subscribe(Counted, handle, options);
    const second = await two.subscribe(Counted, handle, options);
    const [pauses, others] = [told<PauseEvent>(first, "pause"), told<PauseEvent>(second, "pause")];
    await one.publish(counted(10));
    await knows(pauses, 1);
    await knows(others, 1);
    assert(pauses[0]!.reason!.startsWith("rate limited: No more calls are allowed for 400 ms"), pauses[0]!.reason);
    assertEquals(pauses[0]!.until!.getTime() - pauses[0]!.since.getTime(), 400);
    await settled(one, Counted);
    assertEquals((await lettersOf(one, Counted)).length, 0);
    const again = attempts.slice(1);
    assert(attempts.every(([, attempt]) => attempt === 1));
    assertEquals(again.map(([n]) => n).filter((n, at, all) => all.indexOf(n) === at).length, 10);
    assert(again.at(-1)![2] >= refusedAt + 390, "the group has waited");
  }),

  contract("51, 34", "a RateLimitedError needs a time, and nack() takes it too", async (bench) => {
    for (const retryAfter of [-1, NaN, Infinity]) assertThrows(() => new RateLimitedError({ retryAfter }), RangeError);
    const broker = await bench.broker();
    await broker.publish(counted(2));
    const got: number[] = [];
    let refusedAt = 0;
    for await (const delivery of broker.consume(Counted, { group, retry: { maxAttempts: 1 } })) {
      got.push(delivery.event.detail.n);
      assertEquals(delivery.attempt, 1);
      if (got.length > 1) {
        assert(performance.now() >= refusedAt + 190, "the consumer has waited");
        await delivery.ack();
      } else {
        refusedAt = performance.now();
        await delivery.nack(new RateLimitedError({ retryAfter: 200, message: "too many" }));
      }
      if (got.length === 3) break;
    }
    assertEquals(got, [0, 0, 1]);
  }),

  contract("51", "a control of another program or a newer release does no harm", async (bench) => {
    const broker = await bench.broker();
    const store = await bench.store();
    const seen = new Seen<Counted>();
    await broker.subscribe(Counted, seen.handler, { group });
    const control = store.admin(STREAM).control(group);
    for (
      const text of ["", "no JSON", "null", "[]", '{"paused":1}', '{"paused":{"since":"x"}}', '{"future":{"a":1}}']
    ) {
      assert(await control.write(text, (await control.read()).version));
      await broker.publish(counted(1));
      await settled(broker, Counted);
      assertEquals((await groupOf(broker, Counted)).paused, undefined);
    }
    await broker.pause(Counted, { group });
    await broker.resume(Counted, { group });
    assertEquals(JSON.parse((await control.read()).text!), { future: { a: 1 } });
  }, "store"),

  contract("51", "pause() and resume() take effect although the store fails now and then", async (bench) => {
    let failing = false;
    const fail = <Args extends unknown[], R>(work: (...args: Args) => Promise<R>) => async (...args: Args) => {
      if (failing) throw new StoreError("transient", "the server is loading");
      return await work(...args);
    };
    const broker: EventBroker<typeof Counted> = await bench.over((inner) => {
      const admin = inner.admin.bind(inner);
      const member = inner.member.bind(inner);
      inner.member = async (...args) => {
        const real = await member(...args);
        const [claim, control] = [real.claim.bind(real), real.control.bind(real)];
        real.claim = fail(claim);
        real.control = fail(control);
        return real;
      };
      inner.admin = admin;
      return inner;
    }, { events: [Counted] });
    const operator = await bench.broker();
    const seen = new Seen<Counted>();
    const subscription = await broker.subscribe(Counted, seen.handler, { group });
    const pauses = told<PauseEvent>(subscription, "pause");
    failing = true;
    await operator.pause(Counted, { group });
    await sleep(WHILE);
    failing = false;
    await knows(pauses, 1);
    failing = true;
    await operator.publish(counted(3));
    await operator.resume(Counted, { group });
    await sleep(WHILE);
    failing = false;
    await seen.count(3);
  }, "store"),
];
