import { assert, assertEquals, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import {
  type BrokerErrorEvent,
  type DeadLetterEvent,
  type DeferredEvent,
  NewerVersionError,
} from "../../../broker/mod.ts";
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
  lettersOf,
  positionsOf,
  Seen,
  settled,
  SOON,
  told,
  until,
  within,
} from "../../_broker_bench.ts";

/** `Counted` as the next release of the program defines it. */
class CountedNow extends defineEvent("Counted", {
  version: 2,
  upcast: { 1: ({ n }: { n: number }) => ({ n, twice: 2 * n }) },
})<{ n: number; twice: number }> {}

const now = (count: number, from = 0) =>
  Array.from({ length: count }, (_, i) => new CountedNow({ n: from + i, twice: 2 * (from + i) }));

/** Contracts of event versions that change while old and new processes run. */
export const versions: readonly BrokerContract[] = [
  contract("24", "subscribe() defers events of a newer version to a consumer that knows it", async (bench) => {
    const [old, current] = [await bench.broker(), await bench.connect([CountedNow])];
    const seen = new Seen<Counted>();
    const subscription = await old.subscribe(Counted, seen.handler, { group: "group", concurrency: 4 });
    const deferred = told<DeferredEvent>(subscription, "deferred");
    const [known, newer] = [counted(40), now(20)];
    for (let at = 0; at < 20; at++) {
      await old.publish(known.slice(2 * at, 2 * at + 2));
      await current.publish(newer[at]!);
    }
    await seen.count(40);
    await until(() => deferred.length === 20, "all newer events are deferred");
    assertEquals(deferred.map(({ eventType, position, version }) => [eventType, position, version]), [
      ...newer.map(({ position }) => ["Counted", position, 2]),
    ]);
    const { pending, deferred: counts, deadLetters, oldestUnsettled } = await groupOf(old, Counted);
    assertEquals([pending, counts, deadLetters], [20, [{ version: 2, pending: 20 }], 0]);
    assert(oldestUnsettled!.getTime() <= newer[0]!.time.getTime() + 1_000);
    const taken = new Seen<CountedNow>();
    const attempts: number[] = [];
    await current.subscribe(CountedNow, (event, { attempt, recovered }) => {
      attempts.push(attempt, recovered);
      taken.handler(event);
    }, { group: "group" });
    await settled(current, CountedNow);
    assertOrder(taken.ids, newer);
    assertEquals(new Set(attempts), new Set([1, 0]));
    assertOrder(seen.ids, known);
    assertEquals((await groupOf(current, CountedNow)).deferred, []);
  }),

  contract("24", "subscribe() handles each event once while old and new consumers share a group", async (bench) => {
    const [old, current] = [await bench.broker(), await bench.connect([CountedNow])];
    const [seen, taken] = [new Seen<Counted>(), new Seen<CountedNow>()];
    const options = { group: "group", concurrency: 4, prefetch: 8 };
    await old.subscribe(Counted, seen.handler, options);
    await current.subscribe(CountedNow, taken.handler, options);
    const [known, newer] = [counted(200), now(200, 1_000)];
    await Promise.all([
      ...known.map((event) => old.publish(event)),
      ...newer.map((event) => current.publish(event)),
    ]);
    await settled(old, Counted);
    assertSame([...seen.ids, ...taken.ids], [...known, ...newer]);
    // Old consumers never receive new versions; new consumers receive both, older ones upcast.
    assert(seen.events.every(({ detail }) => detail.n < 1_000));
    assert(taken.events.every(({ detail: { n, twice } }) => twice === 2 * n));
    assertEquals((await lettersOf(current, CountedNow)).length, 0);
  }),

  contract("24", "subscribe() wakes a consumer that knows the version of deferred events", async (bench) => {
    const [old, current] = [await bench.broker(), await bench.connect([CountedNow])];
    const taken = new Seen<CountedNow>();
    await current.subscribe(CountedNow, taken.handler, { group: "group" });
    await settled(current, CountedNow);
    await old.subscribe(Counted, () => {}, { group: "group" });
    // Either consumer may receive them first, well before any lease expires.
    for (let round = 0; round < 10; round++) {
      await current.publish(now(1, round));
      await taken.count(round + 1, 5_000);
    }
    await settled(current, CountedNow);
  }),

  contract("4, 24", "subscribe() counts no attempt when it defers a retry of a newer version", async (bench) => {
    const [old, current] = [await bench.broker(), await bench.connect([CountedNow])];
    const attempts: number[] = [];
    const failing = await current.subscribe(CountedNow, (_event, { attempt }) => {
      attempts.push(attempt);
      throw new Error("later");
    }, { group: "group", retry: { minTimeout: 20, maxTimeout: 20, maxAttempts: Infinity } });
    const [event] = now(1);
    await current.publish(event!);
    await until(() => attempts.length > 0, "the first attempt has failed");
    await failing.close();
    const deferring = await old.subscribe(Counted, () => {}, { group: "group", retry: { maxAttempts: 1 } });
    await until(async () => (await groupOf(old, Counted)).deferred.length === 1, "the retry is deferred");
    await deferring.close();
    assertEquals((await groupOf(old, Counted)).retrying, 0);
    await current.subscribe(CountedNow, (_event, { attempt }) => void attempts.push(attempt), { group: "group" });
    await settled(current, CountedNow);
    // On a busy machine, the second attempt may have failed before the close.
    assert(attempts.length >= 2);
    assertEquals(attempts, attempts.map((_, nth) => nth + 1));
  }),

  contract(
    "22, 24, 25",
    "subscribe() dead-letters a deferred event after deferTimeout, until a redrive",
    async (bench) => {
      const [old, current] = [await bench.broker(), await bench.connect([CountedNow])];
      const subscription = await old.subscribe(Counted, () => {}, { group: "group", lease: 400, deferTimeout: 100 });
      const [deferred, dead] = [
        told<DeferredEvent>(subscription, "deferred"),
        told<DeadLetterEvent>(subscription, "deadletter"),
      ];
      const newer = now(3);
      await current.publish(newer);
      await until(() => dead.length === 3, "all events are dead letters");
      assertEquals([deferred.length, dead.map(({ reason, attempts }) => [reason, attempts])], [
        3,
        newer.map(() => ["version", 0]),
      ]);
      await subscription.close();
      const letters = await lettersOf(current, CountedNow);
      assertEquals(positionsOf(letters), positionsOf(newer));
      for (const [nth, { reason, attempts, raw, event, error }] of letters.entries()) {
        assertEquals([reason, attempts, raw.version, event?.id], ["version", 0, "2", newer[nth]!.id]);
        assertEquals(error.name, "NewerVersionError");
        assertStringIncludes(error.message, "it is of version 2, and this class knows up to 1");
      }
      assertEquals(await old.redrive(Counted, { group: "group" }), 3);
      const taken = new Seen<CountedNow>();
      await current.subscribe(CountedNow, taken.handler, { group: "group" });
      await settled(current, CountedNow);
      assertOrder(taken.ids, newer);
    },
  ),

  contract("16, 24", "subscribe() and consume() defer for each group separately", async (bench) => {
    const [old, current] = [await bench.broker(), await bench.connect([CountedNow])];
    const newer = now(5);
    await current.publish(newer);
    const taken = new Seen<CountedNow>();
    await current.subscribe(CountedNow, taken.handler, { group: "other" });
    await settled(current, CountedNow, "other");
    const known = counted(1);
    await old.publish(known);
    for await (const delivery of old.consume(Counted, { group: "group" })) {
      assertEquals(delivery.event.id, known[0]!.id);
      await delivery.ack();
      break;
    }
    assertEquals((await groupOf(old, Counted)).deferred, [{ version: 2, pending: 5 }]);
    assertEquals((await groupOf(old, Counted, "other")).deferred, []);
    assertOrder(taken.ids.slice(0, 5), newer);
  }),

  contract("9, 24", "subscribe() with a key goes on past deferred events of that key", async (bench) => {
    const [old, current] = [await bench.broker(), await bench.connect([CountedNow])];
    const seen = new Seen<Counted>();
    const gate = new Gate();
    await old.subscribe(Counted, async (event) => {
      await gate.opened;
      seen.handler(event);
    }, { group: "group", concurrency: 4, key: () => "one" });
    const [first, last] = [counted(3), counted(3, 10)];
    await old.publish(first);
    await current.publish(now(1));
    await old.publish(last);
    gate.open();
    await seen.count(6);
    assertOrder(seen.ids, [...first, ...last]);
    assertEquals((await groupOf(old, Counted)).deferred, [{ version: 2, pending: 1 }]);
  }),

  contract("27", "info() reports that deferred events pin the events after them", async (bench) => {
    const old = await bench.broker({ retention: { maxLength: 1 } });
    const current = await bench.connect([CountedNow]);
    await old.subscribe(Counted, () => {}, { group: "group" });
    const [newer] = now(1);
    await current.publish(newer!);
    await until(async () => (await groupOf(old, Counted)).deferred.length === 1, "the newer event is deferred");
    await old.publish(counted(5));
    await until(async () => (await groupOf(old, Counted)).pending === 1, "all other events are settled");
    const { pinnedBy, first } = await old.info(Counted);
    assertEquals([pinnedBy, first], ["group", newer!.position]);
  }),

  contract("28, 33", "history() and listeners report a newer version by NewerVersionError", async (bench) => {
    const [old, current] = [await bench.broker(), await bench.connect([CountedNow])];
    const undecodable = told<BrokerErrorEvent>(old, "undecodable");
    const heard = new Seen<Counted>();
    old.addEventListener("Counted", heard.handler);
    await old.publish(counted(1));
    await heard.count(1);
    const [newer] = now(1);
    await current.publish(newer!);
    await until(() => undecodable.length === 1, "the newer event is reported");
    const error = await assertRejects(() => Array.fromAsync(old.history(Counted)), NewerVersionError);
    for (const { name, version, position, raw } of [error, undecodable[0]!.error as NewerVersionError]) {
      assertEquals([name, version, position, raw.id], ["NewerVersionError", 2, newer!.position, newer!.id]);
    }
  }),

  contract(
    "24",
    "subscribe() defers a newer version with any payload, and dead-letters a version that is not a number",
    async (bench) => {
      const [old, store] = [await bench.broker(), await bench.store()];
      await store.append("events:Counted", [
        ["id", "v-1", "version", "7", "payload", "written otherwise"],
        ["id", "v-2", "version", `${Number.MAX_SAFE_INTEGER}`, "payload", "{}"],
        ["id", "v-3", "version", "two", "payload", "{}"],
      ]);
      const subscription = await old.subscribe(Counted, () => {}, { group: "group" });
      await until(async () => (await groupOf(old, Counted)).deadLetters === 1, "one entry is a dead letter");
      await until(async () => (await groupOf(old, Counted)).deferred.length === 2, "the others are deferred");
      assertEquals(
        (await groupOf(old, Counted)).deferred,
        [7, Number.MAX_SAFE_INTEGER].map((version) => ({ version, pending: 1 })),
      );
      assertEquals((await lettersOf(old, Counted))[0]!.raw.id, "v-3");
      // Deferred entries do not delay closing.
      await within(subscription.close(), "the subscription to close");
    },
    "store",
  ),

  contract("34", "subscribe() and consume() refuse an invalid deferTimeout", async (bench) => {
    const broker = await bench.broker();
    for (const deferTimeout of [-1, NaN, 2 ** 41, "1 day"] as number[]) {
      const options = { group: "group", deferTimeout };
      await assertRejects(() => broker.subscribe(Counted, () => {}, options), RangeError, "deferTimeout (ms)");
      assertThrows(() => broker.consume(Counted, options), RangeError, "deferTimeout (ms)");
    }
    for (const deferTimeout of [0, Infinity]) {
      const subscription = await broker.subscribe(Counted, () => {}, { group: "group", deferTimeout, retry: SOON });
      await subscription.close();
    }
  }),
];
