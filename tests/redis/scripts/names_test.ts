// The names of types, groups and prefixes never reach the keys of others.

import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { connect, defineEvent, type EventBroker, type EventClass, PermanentError } from "@tidings/broker";
import { until } from "../../../src/testing/_broker_bench.ts";
import { RedisServer } from "../_server.ts";

const REFUSED = [
  "a{b",
  "a}b",
  "{a}",
  "a}:dead:b",
  "a#b",
  "a b",
  "a\nb",
  "a\r\nDEL x",
  "a\tb",
  "a\0b",
  "a\u2028b",
  "",
  "\ud800",
];
// Allowed names that look like patterns, other keys, other prefixes or arguments, or are not ASCII.
const TAKEN = [
  "*",
  "a*",
  "[a-z]?",
  "..",
  "a:b",
  ":a",
  "a:",
  "a:dead:b",
  "events:A",
  "$",
  ">",
  "-",
  "+",
  "0-0",
  "\\",
  "'\"",
  "Ünï",
  "€",
  "a|b",
];

/** All keys of a server. */
async function keysOf(server: RedisServer): Promise<string[]> {
  const reply = JSON.parse(await server.cli("--json", "KEYS", "*")) as string[];
  return reply.sort();
}

/** Leaves all kinds of keys of a type and a group on the server. */
async function useAll(broker: EventBroker<EventClass>, Type: EventClass, group: string): Promise<void> {
  await broker.publish([1, 2].map((n) => new Type({ n } as never)));
  const subscription = await broker.subscribe(Type, ({ detail }) => {
    if ((detail as { n: number }).n === 1) throw new PermanentError("no");
    throw new Error("not now");
  }, { group, retry: { minTimeout: 60_000 } });
  await until(async () => {
    const { deadLetters, retrying } = (await broker.info(Type)).groups[0]!;
    return deadLetters === 1 && retrying === 1;
  }, "one event waits for its retry, and one is a dead letter");
  await subscription.close();
}

Deno.test("connect(), defineEvent() and subscribe() refuse names that could reach other keys, and write nothing", async () => {
  await using server = await RedisServer.start();
  class Sold extends defineEvent("Sold")<{ n: number }> {}
  const events = [Sold];
  for (const name of REFUSED) assertThrows(() => defineEvent(name), TypeError);
  await using broker = await connect(server.url, { events });
  for (const group of [...REFUSED, "_retry", "_released"]) {
    const attempts: (() => Promise<unknown>)[] = [
      () => broker.subscribe(Sold, () => {}, { group }),
      () => broker.subscribe(Sold, () => {}, { group: "shop", consumer: group }),
      () => broker.consume(Sold, { group }).next(),
      () => broker.rewind(Sold, { group, to: "beginning" }),
      () => broker.redrive(Sold, { group }),
      () => broker.deleteGroup(Sold, { group, force: true }),
      async () => await broker.deadLetters(Sold, { group }).next(),
      () => connect(server.url, { events, prefix: group }),
    ];
    for (const attempt of attempts) {
      await assertRejects(async () => await attempt(), TypeError, undefined, JSON.stringify(group));
    }
  }
  assertEquals(await keysOf(server), []);
});

Deno.test("subscribe() and deleteGroup() touch only the keys of their group when names look like patterns or other keys", async () => {
  await using server = await RedisServer.start();
  const others = ["events:Sold", "events:A", "other:A", "{events:A}:dead:b", "a", "*"];
  for (const key of others) await server.cli("SET", key, "untouched");
  for (const name of TAKEN) {
    const before = await keysOf(server);
    const prefix = "shop";
    const Type = defineEvent(`T${name}`) as unknown as EventClass;
    await using broker = await connect(server.url, { events: [Type], prefix });
    await useAll(broker, Type, name);
    const stream = `${prefix}:T${name}`;
    const made = (await keysOf(server)).filter((key) => !before.includes(key));
    const expected = ["consumers", "dead", "due", "group", "work"].map((what) => `{${stream}}:${what}:${name}`);
    const producer = made.filter((key) => key.startsWith(`{${stream}}:producer:`));
    assertEquals(producer.length, 1, name);
    const kept = made.filter((key) => !producer.includes(key) && !key.includes(":consumers:"));
    assertEquals(kept, [stream, ...expected.filter((key) => !key.includes(":consumers:"))].sort(), name);
    assertEquals((await broker.info(Type)).groups.map((group) => group.name), [name]);

    await broker.deleteGroup(Type, { group: name, force: true });
    assertEquals(
      (await keysOf(server)).filter((key) => !before.includes(key)),
      [stream, `{${stream}}:group:${name}`, ...producer].sort(),
      name,
    );
  }
  for (const key of others) assertEquals(await server.cli("GET", key), "untouched");
});
