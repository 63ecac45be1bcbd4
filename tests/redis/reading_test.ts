// Guarantees 13, 32: blocked reads, and how they end.

import { assertEquals, assertLess } from "@std/assert";
import { defineEvent, EventBroker, type EventClass, type Subscription } from "@tidings/broker";
import { SingleServer } from "../../src/redis/connection/_single_server.ts";
import { RedisStore } from "../../src/redis/redis_store.ts";
import { sleep, until, within } from "../../src/testing/_broker_bench.ts";
import { KINDS, LABELS, openBroker, openConnection, openStore, withHook } from "./_bench.ts";
import { Proxy } from "./_proxy.ts";
import { RedisServer } from "./_server.ts";

class First extends defineEvent("First")<{ n: number }> {}
class Second extends defineEvent("Second")<{ n: number }> {}
class Third extends defineEvent("Third")<{ n: number }> {}
const events = [First, Second, Third] as const;

// In ms, on a machine that is busy with other tests; a read blocks for seconds.
const AT_ONCE = 500;

/** How many connections the server has, apart from the one that asks. */
async function connections(server: RedisServer): Promise<number> {
  return (await server.cli("CLIENT", "LIST")).split("\n").filter((line) => !line.includes("cmd=client|list")).length;
}

for (const kind of KINDS) {
  for (const groups of [1, 20]) {
    Deno.test(`RedisStore by ${LABELS[kind]}: ${groups} group(s) over three types and live listeners take at most 2 + ${groups} connections`, async () => {
      await using server = await RedisServer.start();
      await using broker = await openBroker(server.url, { events }, kind);
      const [handled, heard] = [new Map<string, number>(), [] as string[]];
      for (const event of events) broker.addEventListener(event.type, ({ type }) => void heard.push(type));
      for (let group = 0; group < groups; group++) {
        const name = `group${group}`;
        for (const event of events) {
          const handler = () => void handled.set(name, (handled.get(name) ?? 0) + 1);
          await broker.subscribe(event as EventClass as typeof First, handler, { group: name });
        }
      }
      for (let n = 0; n < 10; n++) for (const event of events) await broker.publish(new event({ n }));
      const done = () => heard.length === 30 && handled.size === groups && [...handled.values()].every((n) => n === 30);
      await until(done, "each group and each listener has everything");
      assertEquals(await connections(server), 2 + groups);
      await broker.close();
      await until(async () => await connections(server) === 0, "all are closed");
    });
  }

  Deno.test(`RedisStore by ${LABELS[kind]}: close() ends blocked reads at once`, async () => {
    await using server = await RedisServer.start();
    const broker = await openBroker(server.url, { events }, kind);
    broker.addEventListener("First", () => {});
    for (const group of ["one", "two"]) await broker.subscribe(First, () => {}, { group });
    await broker.publish(new First({ n: 1 }));
    await until(async () => (await server.cli("INFO", "clients")).includes("blocked_clients:3"), "three reads block");
    const began = performance.now();
    await broker.close();
    assertLess(performance.now() - began, AT_ONCE);
    assertEquals(await connections(server), 0);
  });
}

Deno.test("200 subscriptions that are opened at once share five blocked reads, also with what others have left", async () => {
  const many = Array.from({ length: 200 }, (_, n) => class extends defineEvent(`Type${n}`)<{ n: number }> {});
  await using server = await RedisServer.start();
  await using broker = await openBroker(server.url, { events: many });
  const handled: string[] = [];
  const open = (event: typeof many[number]) =>
    broker.subscribe(event, ({ type }) => void handled.push(type), { group: "group" });
  const [first, ...others] = many;
  // The first one stays, and the consumer with it.
  await open(first!);
  for (let round = 1; round <= 2; round++) {
    const subscriptions = await Promise.all(others.map(open));
    await Promise.all(many.map((event) => broker.publish(new event({ n: round }))));
    await until(() => handled.length === round * many.length, "all are handled");
    assertEquals(new Set(handled).size, many.length);
    // Each reads 48 streams at most; one connection is for everything else.
    const reads = Math.ceil(200 / 48);
    await until(async () => (await server.cli("INFO", "clients")).includes(`blocked_clients:${reads}`), "they block");
    assertEquals(await connections(server), 1 + reads);
    await Promise.all(subscriptions.map((subscription) => subscription.close()));
  }
});

Deno.test("a subscription's close() ends its blocked read at once, and leaves the others alone", async () => {
  await using server = await RedisServer.start();
  await using broker = await openBroker(server.url, { events });
  const handled: string[] = [];
  const subscriptions: Subscription[] = [];
  for (const group of ["one", "two"]) {
    for (const event of [First, Second]) {
      const handler = ({ type }: { type: string }) => void handled.push(`${group} ${type}`);
      subscriptions.push(await broker.subscribe(event as typeof First, handler, { group }));
    }
  }
  await until(async () => (await server.cli("INFO", "clients")).includes("blocked_clients:2"), "both reads block");
  const began = performance.now();
  await subscriptions[0]!.close();
  assertLess(performance.now() - began, AT_ONCE);
  for (const event of [First, Second]) await broker.publish(new event({ n: 1 }));
  await until(() => handled.length === 3, "the others go on");
  assertEquals(handled.sort(), ["one Second", "two First", "two Second"]);
});

Deno.test("close() while the first blocking connection is being made leaves nothing open", async () => {
  await using server = await RedisServer.start();
  for (const delay of [0, 20, 100]) {
    await using proxy = new Proxy(server.port);
    const broker = await openBroker(proxy.url, { events: [First] });
    proxy.delay = 30;
    await broker.subscribe(First, () => {}, { group: "group" });
    if (delay > 0) await sleep(delay);
    await broker.close();
    await until(() => proxy.open === 0, "the proxy has no connection any more", 2_000);
  }
  await until(async () => await connections(server) === 0, "the server has no connection any more");
});

Deno.test("a live listener that goes while its connection is being made leaves nothing open", async () => {
  await using server = await RedisServer.start();
  await using proxy = new Proxy(server.port);
  const broker = await openBroker(proxy.url, { events: [First] });
  proxy.delay = 30;
  const gone = new AbortController();
  broker.addEventListener("First", () => {}, { signal: gone.signal });
  await sleep(40);
  gone.abort();
  await broker.close();
  await until(() => proxy.open === 0, "the proxy has no connection any more", 2_000);
});

Deno.test("a read that is to end is ended also when the word comes before the read itself", async () => {
  await using server = await RedisServer.start();
  const overtaken = Promise.withResolvers<void>();
  let [reads, unblocked] = [0, 0];
  const connection = withHook(await openConnection(server.url), async (command) => {
    const [name, what] = command;
    if (name === "CLIENT" && what === "UNBLOCK" && ++unblocked === 3) overtaken.resolve();
    // The first read is held up on its way.
    if (name === "XREADGROUP" && command.includes("BLOCK") && ++reads === 1) await overtaken.promise;
  });
  await using broker = new EventBroker(new RedisStore(new SingleServer(connection, server.url.host)), { events });
  await broker.subscribe(First, () => {}, { group: "group" });
  await until(() => reads === 1, "the first read is on its way");
  const handled: number[] = [];
  // Another type of the same group joins the read that is under way.
  await broker.subscribe(Second, (event) => void handled.push(event.detail.n), { group: "group" });
  await broker.publish(new Second({ n: 1 }));
  await until(() => handled.length === 1, "it is read", 1_000);
  assertLess(unblocked, 200);
});

Deno.test("several brokers of one process and group share the work, and none reads for another", async () => {
  await using server = await RedisServer.start();
  const brokers = await Promise.all([1, 2, 3].map(() => openBroker(server.url, { events })));
  const handled: number[] = [];
  for (const broker of brokers) {
    await broker.subscribe(First, (event) => void handled.push(event.detail.n), { group: "group" });
  }
  await Promise.all(Array.from({ length: 300 }, (_, n) => brokers[n % 3]!.publish(new First({ n }))));
  await until(() => handled.length >= 300, "all are handled");
  assertEquals(new Set(handled).size, 300);
  assertEquals(await connections(server), 6);
  for (const broker of brokers) await within(broker.close(), "it closes", 500);
});

Deno.test("follow reads of many streams share one connection", async () => {
  await using server = await RedisServer.start();
  await using store = await openStore(server.url);
  const ended = new AbortController();
  const got: string[] = [];
  const following = Array.from({ length: 40 }, async (_, n) => {
    for await (const page of store.read(`s${n}`, { follow: true, signal: ended.signal })) {
      got.push(...page.map(({ fields }) => fields[1]!));
    }
  });
  await sleep(50);
  for (let n = 0; n < 40; n++) await store.append(`s${n}`, [["id", `${n}`]]);
  await until(() => got.length === 40, "each has its entry");
  assertEquals(await connections(server), 2);
  ended.abort();
  await Promise.allSettled(following);
});
