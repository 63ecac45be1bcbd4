import { assertEquals, assertStringIncludes } from "@std/assert";
import { PermanentError } from "../../../broker/mod.ts";
import {
  type BrokerContract,
  contract,
  Counted,
  counted,
  groupOf,
  lettersOf,
  settled,
  SOON,
  until,
} from "../../_broker_bench.ts";

const HOLD = { group: "group", whenDead: "hold-key" } as const;

/** Keys that a store could take for something else. The last one is half a character. */
const KEYS = [
  "",
  " ",
  "\0",
  "\0\0",
  "\r\n",
  "a",
  "a:1",
  "1:a",
  "0-1",
  "é",
  "🎉",
  "__proto__",
  "constructor",
  "*",
  "\ud800",
];

export const hostileKeys: readonly BrokerContract[] = [
  contract("43", "a held key is kept apart from all others, whatever it contains", async (bench) => {
    const broker = await bench.broker();
    const handled: number[] = [];
    let fatal = true;
    await broker.subscribe(Counted, ({ detail: { n } }) => {
      if (fatal && n < KEYS.length) throw new PermanentError("no good");
      handled.push(n);
    }, { ...HOLD, key: ({ detail: { n } }) => KEYS[n % KEYS.length]!, concurrency: 4 });
    await broker.publish(counted(3 * KEYS.length));
    await until(async () => (await groupOf(broker, Counted)).held.waiting === 2 * KEYS.length, "all others wait");
    const { held: { keys } } = await groupOf(broker, Counted);
    assertEquals([keys, handled], [KEYS.length, []]);
    fatal = false;
    const letters = await lettersOf(broker, Counted);
    for (const { event, id } of letters) {
      const { n } = event!.detail;
      await broker.redrive(Counted, { group: "group", ids: [id] });
      await until(() => handled.length === 3 * (n + 1), `the events of the key ${JSON.stringify(KEYS[n])} are handled`);
      assertEquals(handled.slice(-3), [n, n + KEYS.length, n + 2 * KEYS.length]);
    }
    await settled(broker, Counted);
  }),

  contract("22, 43", "an event whose key is too long becomes a dead letter that holds no key", async (bench) => {
    const broker = await bench.broker();
    const handled: number[] = [];
    const keys = [
      "x".repeat(1_048_576),
      "y".repeat(4_097),
      "z".repeat(4_096),
      "z".repeat(4_096),
      "x".repeat(1_048_576),
    ];
    await broker.subscribe(Counted, ({ detail: { n } }) => {
      if (n === 2) throw new PermanentError("no good");
      handled.push(n);
    }, { ...HOLD, key: ({ detail: { n } }) => keys[n] ?? "other" });
    await broker.publish(counted(6));
    await until(async () => {
      const { pending, lag, held } = await groupOf(broker, Counted);
      return lag === 0 && pending === 1 && held.waiting === 1;
    }, "only one event waits");
    const letters = await lettersOf(broker, Counted);
    const shown = letters.map(({ event, reason, key }) => ({ n: event!.detail.n, reason, length: key?.length }));
    assertEquals(shown.toSorted((a, b) => a.n - b.n), [
      { n: 0, reason: "permanent", length: undefined },
      { n: 1, reason: "permanent", length: undefined },
      { n: 2, reason: "permanent", length: 4_096 },
      { n: 4, reason: "permanent", length: undefined },
    ]);
    assertStringIncludes(letters[0]!.error.message, "Cannot order Counted by a key of 1048576 characters: ");
    assertEquals([handled, (await groupOf(broker, Counted)).held.keys], [[5], 1]);
  }),

  contract("22, 43", "a key function that throws anything, or returns no string, holds no key", async (bench) => {
    const broker = await bench.broker();
    const handled: number[] = [];
    const hostile = new Proxy({}, {
      get: () => {
        throw new Error("no property");
      },
    });
    const results: readonly unknown[] = [undefined, null, 5, Symbol("key"), hostile, Promise.resolve("key")];
    await broker.subscribe(Counted, ({ detail: { n } }) => void handled.push(n), {
      ...HOLD,
      retry: { ...SOON, maxAttempts: 2 },
      key: ({ detail: { n } }) => {
        if (n === results.length) throw hostile;
        if (n === results.length + 1) throw undefined;
        return n < results.length ? results[n] as string : "key";
      },
    });
    await broker.publish(counted(results.length + 4));
    await settled(broker, Counted);
    const letters = await lettersOf(broker, Counted);
    assertEquals(letters.map(({ reason, key }) => [reason, key]), letters.map(() => ["attempts", undefined]));
    assertEquals([letters.length, handled], [results.length + 2, [8, 9]]);
    assertEquals((await groupOf(broker, Counted)).held.keys, 0);
  }),
];
