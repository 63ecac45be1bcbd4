import { assert, assertEquals } from "@std/assert";
import { PermanentError, type RetryEvent } from "../../../broker/mod.ts";
import {
  assertSame,
  type BrokerContract,
  contract,
  Counted,
  counted,
  lettersOf,
  Seen,
  settled,
  SOON,
  told,
} from "../../_broker_bench.ts";

/** Contracts of dead letters and their redrive. */
export const deadLetters: readonly BrokerContract[] = [
  contract("22", "subscribe() accepts any value that a handler throws", async (bench) => {
    const broker = await bench.broker();
    const thrown: unknown[] = ["text", undefined, null, 5, Symbol("s"), Object.create(null), { message: "m" }];
    await broker.subscribe(Counted, ({ detail: { n } }) => {
      throw thrown[n];
    }, { group: "group", concurrency: 10, retry: { maxAttempts: 1 } });
    const events = counted(thrown.length);
    await broker.publish(events);
    await settled(broker, Counted);
    const letters = await lettersOf(broker, Counted);
    assertSame(letters.map(({ event }) => event!), events);
    assertEquals(letters.find(({ event }) => event!.detail.n === 0)!.error, { name: "Error", message: "text" });
  }),

  contract(
    "4, 22",
    "subscribe() retries and dead-letters when a handler throws a value that cannot be read",
    async (bench) => {
      const broker = await bench.broker();
      const hostile = hostileValues();
      const attempts: number[] = [];
      const subscription = await broker.subscribe(Counted, ({ detail: { n } }) => {
        attempts.push(n);
        const { value, how } = hostile[n]!;
        if (how === "throw") throw value;
        return how === "reject" ? Promise.reject(value) : value;
      }, { group: "group", concurrency: 4, retry: { ...SOON, maxAttempts: 2 } });
      const retries = told<RetryEvent>(subscription, "retry");
      const events = counted(hostile.length);
      await broker.publish(events);
      await settled(broker, Counted);
      const letters = await lettersOf(broker, Counted);
      assertSame(letters.map(({ event }) => event!), events);
      assert(letters.every(({ error }) => typeof error.name === "string" && typeof error.message === "string"));
      assertEquals([attempts.length, retries.length], [2 * hostile.length, hostile.length]);
    },
  ),

  contract("25", "redrive() returns dead letters to their group only: one, some, all", async (bench) => {
    const broker = await bench.broker();
    const [mine, theirs] = [new Seen<Counted>(), new Seen<Counted>()];
    let broken = true;
    const attempts: number[] = [];
    await broker.subscribe(Counted, theirs.handler, { group: "other" });
    await broker.subscribe(Counted, (event, { attempt }) => {
      if (broken) throw new PermanentError("broken");
      attempts.push(attempt);
      mine.handler(event);
    }, { group: "group" });
    const events = counted(6);
    await broker.publish(events);
    await settled(broker, Counted);
    await settled(broker, Counted, "other");
    const before = await broker.info(Counted);
    broken = false;
    const letters = await lettersOf(broker, Counted);
    const oldest = async () => (await broker.info(Counted)).groups.find(({ name }) => name === group)!.oldestDeadLetter;
    const byNumber = (n: number) => letters.find(({ event }) => event!.detail.n === n)!.id;
    const group = "group";
    assertEquals(await oldest(), letters[0]!.lastFailedAt);
    assertEquals(await broker.redrive(Counted, { group, dryRun: true }), 6);
    assertEquals(await broker.redrive(Counted, { group, dryRun: true, ids: [byNumber(4), "none"] }), 1);
    assertEquals((await lettersOf(broker, Counted)).length, 6);
    assertEquals(await broker.redrive(Counted, { group, ids: [] }), 0);
    assertEquals(await broker.redrive(Counted, { group, ids: [byNumber(4)] }), 1);
    await mine.count(1);
    assertEquals(await broker.redrive(Counted, { group, ids: [byNumber(1), byNumber(2)] }), 2);
    await mine.count(3);
    assertSame(mine.ids, [4, 1, 2].map((n) => events[n]!));
    assertEquals(await broker.redrive(Counted, { group }), 3);
    await settled(broker, Counted);
    assertSame(mine.ids, events);
    assertSame(theirs.ids, events);
    assert(attempts.every((attempt) => attempt === 1));
    const after = await broker.info(Counted);
    assertEquals([after.length, after.last], [before.length, before.last]);
    assertEquals(after.groups.find(({ name }) => name === "other"), before.groups.find(({ name }) => name === "other"));
    assertEquals(await broker.redrive(Counted, { group }), 0);
    assertEquals(await lettersOf(broker, Counted), []);
    assertEquals(await oldest(), undefined);
  }),

  contract("25, 31", "redrive() ends even if redriven events become dead letters again meanwhile", async (bench) => {
    const broker = await bench.broker();
    let deaths = 0;
    await broker.subscribe(Counted, () => {
      deaths++;
      throw new PermanentError("never");
    }, { group: "group", concurrency: 20 });
    const events = counted(700);
    for (const from of [0, 350]) await broker.publish(events.slice(from, from + 350));
    await settled(broker, Counted);
    assertEquals(await broker.redrive(Counted, { group: "group" }), 700);
    await settled(broker, Counted);
    assertEquals(deaths, 1_400);
    assertSame((await lettersOf(broker, Counted)).map(({ event }) => event!.id), events);
  }),

  contract("25, 27", "redrive() returns an event that was trimmed meanwhile", async (bench) => {
    const broker = await bench.broker();
    let broken = true;
    const seen = new Seen<Counted>();
    await broker.subscribe(Counted, (event) => {
      if (broken) throw new PermanentError("broken");
      seen.handler(event);
    }, { group: "group" });
    const [event] = counted(1);
    await broker.publish(event!);
    await settled(broker, Counted);
    await (await bench.store()).admin("events:Counted").trim({ maxLength: 0, force: true });
    assertEquals((await broker.info(Counted)).length, 0);
    broken = false;
    assertEquals(await broker.redrive(Counted, { group: "group" }), 1);
    await settled(broker, Counted);
    assertEquals(seen.events.map((it) => it.toCloudEvent()), [event!.toCloudEvent()]);
    assertEquals(await Array.fromAsync(broker.history(Counted)), []);
  }, "store"),
];

/** Values that throw when they are read, and how a handler uses them: it throws them, rejects with them, or returns them. */
function hostileValues(): { value: unknown; how: "throw" | "reject" | "return" }[] {
  const refuse = (): never => {
    throw new RangeError("not to be read");
  };
  const traps = { get: refuse, getPrototypeOf: refuse, has: refuse, ownKeys: refuse, getOwnPropertyDescriptor: refuse };
  const revoked = Proxy.revocable({}, {});
  revoked.revoke();
  const error = new Error("hidden");
  for (const name of ["name", "message", "stack", "cause"]) Object.defineProperty(error, name, { get: refuse });
  const unreadable = [new Proxy({}, traps), new Proxy(new Error("behind a proxy"), traps), revoked.proxy, error];
  return [
    ...unreadable.flatMap((value) => [{ value, how: "throw" as const }, { value, how: "reject" as const }]),
    // A result with an unreadable `then` is no promise that could be awaited: the attempt fails.
    {
      value: {
        get then() {
          return refuse();
        },
      },
      how: "return",
    },
    { value: { then: refuse }, how: "return" },
  ];
}
