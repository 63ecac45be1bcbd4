import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { type DeadLetterEvent, PermanentError, type RetryEvent } from "../../../broker/mod.ts";
import {
  assertSame,
  type BrokerBench,
  type BrokerContract,
  contract,
  Counted,
  counted,
  Gate,
  groupOf,
  lettersOf,
  Seen,
  settled,
  SOON,
  told,
  until,
} from "../../_broker_bench.ts";

export const retrying: readonly BrokerContract[] = [
  contract("4", "subscribe() tries a failed event again until it succeeds", async (bench) => {
    const broker = await bench.broker();
    const events = counted(20);
    const attempts = new Map<string, number[]>();
    await broker.subscribe(Counted, (event, { attempt }) => {
      attempts.set(event.id, [...attempts.get(event.id) ?? [], attempt]);
      if (attempt < 15) throw new Error("again");
    }, { group: "group", concurrency: 4, retry: { ...SOON, maxTimeout: 5 } });
    await broker.publish(events);
    await settled(broker, Counted);
    assertSame([...attempts.keys()], events);
    const expected = Array.from({ length: 15 }, (_, i) => i + 1);
    for (const mine of attempts.values()) assertEquals(mine, expected);
    assertEquals((await groupOf(broker, Counted)).deadLetters, 0);
  }),

  contract("21", "subscribe() waits longer after every attempt and reports the delay", async (bench) => {
    const broker = await bench.broker();
    const starts: number[] = [];
    const error = new Error("again");
    const subscription = await broker.subscribe(Counted, (_event, { attempt }) => {
      starts.push(performance.now());
      if (attempt <= 5) throw error;
    }, { group: "group", retry: { minTimeout: 20, maxTimeout: 60, multiplier: 2, jitter: 0 } });
    const retries = told<RetryEvent>(subscription, "retry");
    const [event] = counted(1);
    const position = await broker.publish(event!);
    await settled(broker, Counted);
    const delays = [20, 40, 60, 60, 60];
    assertEquals(
      retries.map((it) => [it.eventType, it.position, it.attempt, it.delay, it.error]),
      delays.map((delay, i) => ["Counted", position, i + 1, delay, error]),
    );
    for (const [i, delay] of delays.entries()) {
      const waited = starts[i + 1]! - starts[i]!;
      // A timer may fire slightly early as measured by another clock.
      assert(waited > delay - 3, `Attempt ${i + 2} came after ${waited} ms instead of ${delay}`);
    }
  }),

  contract("21", "subscribe() delays no other event while a retry waits", async (bench) => {
    const broker = await bench.broker();
    const seen = new Seen<Counted>();
    await broker.subscribe(Counted, (event) => {
      if (event.detail.n % 2 === 0) throw new Error("much later");
      seen.handler(event);
    }, { group: "group", retry: { minTimeout: 60_000, jitter: 0 } });
    const events = counted(40);
    await broker.publish(events);
    await seen.count(20);
    await until(async () => (await groupOf(broker, Counted)).retrying === 20, "the failed events wait");
    assertSame(seen.ids, events.filter(({ detail }) => detail.n % 2 === 1));
    const { pending, lag } = await groupOf(broker, Counted);
    assertEquals({ pending, lag }, { pending: 20, lag: 0 });
  }),

  contract("21", "subscribe() keeps the due time of a retry over a restart", (bench) => restart(bench)),

  contract("21", "subscribe() keeps the due time of a retry with a key over a restart", (bench) => {
    return restart(bench, () => "");
  }),

  contract("22", "subscribe() dead-letters an event after maxAttempts, in its group only", async (bench) => {
    const broker = await bench.broker();
    const seen = new Seen<Counted>();
    await broker.subscribe(Counted, seen.handler, { group: "other" });
    let calls = 0;
    const failures: number[] = [];
    const subscription = await broker.subscribe(Counted, async (event) => {
      if (event.detail.n !== 1) return;
      // On a fast machine all attempts would fail within one millisecond.
      await until(() => Date.now() > (failures.at(-1) ?? 0), "the clock has gone on");
      failures.push(Date.now());
      throw new RangeError(`broken ${++calls}`);
    }, { group: "group", consumer: "me", retry: { ...SOON, maxAttempts: 3 } });
    const dead = told<DeadLetterEvent>(subscription, "deadletter");
    const retries = told<RetryEvent>(subscription, "retry");
    const events = counted(3);
    await broker.publish(events);
    await settled(broker, Counted);
    await settled(broker, Counted, "other");
    assertSame(seen.ids, events);
    const [letter, ...others] = await lettersOf(broker, Counted);
    assert(letter);
    assertEquals(others, []);
    assertEquals(calls, 3);
    assertEquals([letter.reason, letter.attempts, letter.position], ["attempts", 3, events[1]!.position]);
    assertEquals(letter.event?.toCloudEvent(), events[1]!.toCloudEvent());
    assertEquals({ ...letter.raw }, { id: events[1]!.id, payload: '{"n":1}' });
    assertEquals([letter.error.name, letter.error.message], ["RangeError", "broken 3"]);
    assertStringIncludes(letter.error.stack ?? "", "broken 3");
    assert(letter.consumer.startsWith("me."), letter.consumer);
    assert(Math.abs(letter.firstFailedAt.getTime() - failures[0]!) < 1_000);
    assert(letter.firstFailedAt < letter.lastFailedAt);
    assertEquals((await lettersOf(broker, Counted, "other")).length, 0);
    assertEquals(retries.length, 2);
    assertEquals(
      dead.map((it) => [it.eventType, it.position, it.attempts, it.reason, (it.error as Error).message]),
      [["Counted", letter.position, 3, "attempts", "broken 3"]],
    );
  }),

  contract("22", "subscribe() dead-letters an event at once for a PermanentError", async (bench) => {
    const broker = await bench.broker();
    class Declined extends PermanentError {}
    const attempts: number[] = [];
    await broker.subscribe(Counted, ({ detail: { n } }, { attempt }) => {
      attempts.push(attempt);
      if (n === 0) throw new Declined("no", { cause: new Error("why") });
      if (attempt === 1) throw new Error("again");
      throw new PermanentError("no more");
    }, { group: "group", retry: SOON });
    await broker.publish(counted(2));
    await settled(broker, Counted);
    const letters = await lettersOf(broker, Counted);
    assertEquals(letters.map(({ reason, attempts, error }) => [reason, attempts, error.message]), [
      ["permanent", 1, "no"],
      ["permanent", 2, "no more"],
    ]);
    assertEquals(attempts.toSorted(), [1, 1, 2]);
  }),

  contract("", "subscribe() counts a handler beyond handlerTimeout as failed and frees its slot", async (bench) => {
    const broker = await bench.broker();
    const gate = new Gate();
    const log: [number, number, boolean][] = [];
    const reasons: unknown[] = [];
    const late: Promise<void>[] = [];
    const subscription = await broker.subscribe(Counted, async ({ detail: { n } }, { attempt, signal }) => {
      signal.addEventListener("abort", () => reasons.push(signal.reason));
      if (n === 0 && attempt < 3) late.push(gate.opened);
      if (n === 0 && attempt < 3) await gate.opened;
      log.push([n, attempt, signal.aborted]);
      if (n === 0 && attempt === 2) throw new Error("too late to count");
    }, { group: "group", handlerTimeout: 30, retry: SOON });
    const retries = told<RetryEvent>(subscription, "retry");
    await broker.publish(counted(3));
    await settled(broker, Counted);
    assertEquals(log.toSorted(), [[0, 3, false], [1, 1, false], [2, 1, false]]);
    assertEquals(reasons.map((it) => (it as Error).name), ["TimeoutError", "TimeoutError"]);
    assertEquals(retries.map(({ attempt, error }) => [attempt, error]), [[1, reasons[0]], [2, reasons[1]]]);
    gate.open();
    await Promise.all(late);
    await subscription.close();
    assertEquals(log.slice(3), [[0, 1, true], [0, 2, true]]);
    const { pending, retrying, deadLetters } = await groupOf(broker, Counted);
    assertEquals({ pending, retrying, deadLetters }, { pending: 0, retrying: 0, deadLetters: 0 });
  }),
];

/** Retries wait in the store while the subscription is closed and another one begins. */
async function restart(bench: BrokerBench, key?: () => string): Promise<void> {
  const delay = 200;
  const before = await bench.broker();
  await before.publish(counted(2));
  const failed = new Map<number, { attempt: number; at: number }>();
  const first = await before.subscribe(Counted, ({ detail: { n } }, { attempt }) => {
    failed.set(n, { attempt, at: performance.now() });
    throw new Error("again");
  }, {
    group: "group",
    retry: { minTimeout: delay, maxTimeout: delay, jitter: 0, maxAttempts: Infinity },
    ...(key && { key }),
  });
  // With a key the second event waits behind the first.
  const failures = key === undefined ? 2 : 1;
  await until(async () => (await groupOf(before, Counted)).retrying === failures, "the retries are in the store");
  await first.close();
  assertEquals(failed.size, failures);
  assertEquals((await groupOf(before, Counted)).pending, 2);
  const after = await bench.broker();
  const starts: [number, number][] = [];
  await after.subscribe(Counted, ({ detail: { n } }, { attempt, recovered }) => {
    // On a busy machine, more than one attempt may have failed before the close.
    const { attempt: failures, at } = failed.get(n) ?? { attempt: 0, at: -Infinity };
    starts.push([n, attempt - failures]);
    assertEquals(recovered, 0);
    // A timer may fire slightly early as measured by another clock.
    assert(performance.now() - at > delay - 5, "A retry came too early");
  }, { group: "group" });
  await settled(after, Counted);
  assertEquals(starts.toSorted(), [[0, 1], [1, 1]]);
}
