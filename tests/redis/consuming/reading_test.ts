// Guarantees 13, 32: blocked reads, their connections and their end.

import { assertEquals, assertLess } from "@std/assert";
import { defineEvent, EventBroker, type EventClass, type Subscription } from "@tidings/broker";
import { SingleServer } from "../../../src/redis/connection/_single_server.ts";
import { RedisStore } from "../../../src/redis/redis_store.ts";
import { until, within } from "../../../src/testing/_broker_bench.ts";
import { KINDS, LABELS, openBroker, openConnection, openStore, withHook } from "../_bench.ts";
import { Proxy } from "../_proxy.ts";
import { RedisServer } from "../_server.ts";

class First extends defineEvent("First")<{ n: number }> {}
class Second extends defineEvent("Second")<{ n: number }> {}
class Third extends defineEvent("Third")<{ n: number }> {}
const events = [First, Second, Third] as const;

// In ms, on a busy machine. A read blocks for four seconds.
const AT_ONCE = 2_000;

/** How many connections the server has, except that of redis-cli. */
async function connections(server: RedisServer): Promise<number> {
  return (await server.cli("CLIENT", "LIST")).split("\n").filter((line) => !line.includes("cmd=client|list")).length;
}

/** How many PING commands the server has received: one for each connection that is opened. */
async function greetings(server: RedisServer): Promise<number> {
  return Number(/cmdstat_ping:calls=(\d+)/.exec(await server.cli("INFO", "commandstats"))![1]);
}

for (const kind of KINDS) {
  for (const groups of [1, 20]) {
    Deno.test(`subscribe() by ${LABELS[kind]} takes 2 + ${groups} connections for ${groups} group(s) of three types and live listeners`, async () => {
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
      await until(done, "all groups and listeners have all events");
      assertEquals(await connections(server), 2 + groups);
      await broker.close();
      await until(async () => await connections(server) === 0, "all connections are closed");
    });
  }

  Deno.test(`close() by ${LABELS[kind]} ends blocked reads at once`, async () => {
    await using server = await RedisServer.start();
    const broker = await openBroker(server.url, { events }, kind);
    broker.addEventListener("First", () => {});
    for (const group of ["one", "two"]) await broker.subscribe(First, () => {}, { group });
    await broker.publish(new First({ n: 1 }));
    await until(async () => await server.blockedClients() === 3, "three reads block");
    const began = performance.now();
    await broker.close();
    assertLess(performance.now() - began, AT_ONCE);
    assertEquals(await connections(server), 0);
  });
}

Deno.test("subscribe() shares five blocked reads among 200 subscriptions when they are opened at once, and again after some closed", async () => {
  const many = Array.from({ length: 200 }, (_, n) => class extends defineEvent(`Type${n}`)<{ n: number }> {});
  await using server = await RedisServer.start();
  await using broker = await openBroker(server.url, { events: many });
  const handled: string[] = [];
  const open = (event: typeof many[number]) =>
    broker.subscribe(event, ({ type }) => void handled.push(type), { group: "group" });
  const [first, ...others] = many;
  // The first subscription stays open, so that its consumer stays in the group.
  await open(first!);
  for (let round = 1; round <= 2; round++) {
    const subscriptions = await Promise.all(others.map(open));
    await Promise.all(many.map((event) => broker.publish(new event({ n: round }))));
    await until(() => handled.length === round * many.length, "all events are handled");
    assertEquals(new Set(handled).size, many.length);
    // Each blocked read has 48 streams at most; one more connection is for all other commands.
    const reads = Math.ceil(200 / 48);
    await until(
      async () => await server.blockedClients() === reads,
      "the reads block",
    );
    assertEquals(await connections(server), 1 + reads);
    await Promise.all(subscriptions.map((subscription) => subscription.close()));
  }
});

Deno.test("close() of a subscription ends its blocked read at once, and no other one", async () => {
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
  await until(async () => await server.blockedClients() === 2, "both reads block");
  const began = performance.now();
  await subscriptions[0]!.close();
  assertLess(performance.now() - began, AT_ONCE);
  for (const event of [First, Second]) await broker.publish(new event({ n: 1 }));
  await until(() => handled.length === 3, "the other subscriptions go on");
  assertEquals(handled.sort(), ["one Second", "two First", "two Second"]);
});

Deno.test("close() leaves no connection open when the first blocking connection is being opened", async () => {
  await using server = await RedisServer.start();
  for (const progress of ["none", "accepted", "greeted"]) {
    await using proxy = new Proxy(server.port);
    const broker = await openBroker(proxy.url, { events: [First] });
    proxy.delay = 15;
    const greeted = await greetings(server);
    await broker.subscribe(First, () => {}, { group: "group" });
    if (progress !== "none") await until(() => proxy.connections === 2, "the connection is accepted");
    if (progress === "greeted") await until(async () => await greetings(server) > greeted, "the server is greeted");
    await broker.close();
    await until(() => proxy.open === 0, "the proxy has no connection");
  }
  await until(async () => await connections(server) === 0, "the server has no connection");
});

Deno.test("addEventListener() leaves no connection open when its signal aborts while the connection is being opened", async () => {
  await using server = await RedisServer.start();
  await using proxy = new Proxy(server.port);
  const broker = await openBroker(proxy.url, { events: [First] });
  proxy.delay = 30;
  const gone = new AbortController();
  broker.addEventListener("First", () => {}, { signal: gone.signal });
  await until(() => proxy.connections === 2, "the connection is accepted");
  gone.abort();
  await broker.close();
  await until(() => proxy.open === 0, "the proxy has no connection");
});

Deno.test("subscribe() interrupts a blocked read when CLIENT UNBLOCK overtakes the read", async () => {
  await using server = await RedisServer.start();
  const overtaken = Promise.withResolvers<void>();
  let [reads, unblocked] = [0, 0];
  const connection = withHook(await openConnection(server.url), async (command) => {
    const [name, subcommand] = command;
    if (name === "CLIENT" && subcommand === "UNBLOCK" && ++unblocked === 3) overtaken.resolve();
    // The first read is delayed on its way.
    if (name === "XREADGROUP" && command.includes("BLOCK") && ++reads === 1) await overtaken.promise;
  });
  await using broker = new EventBroker(new RedisStore(new SingleServer(connection, server.url.host)), { events });
  await broker.subscribe(First, () => {}, { group: "group" });
  await until(() => reads === 1, "the first read is on its way");
  const handled: number[] = [];
  // Another type of the same group must be added to the read in flight.
  await broker.subscribe(Second, (event) => void handled.push(event.detail.n), { group: "group" });
  await broker.publish(new Second({ n: 1 }));
  await until(() => handled.length === 1, "the event is handled before the read would end", 2_000);
  assertLess(unblocked, 200);
});

Deno.test("subscribe() shares the events of a group among several brokers of one process, each with its own read", async () => {
  await using server = await RedisServer.start();
  await using opened = new AsyncDisposableStack();
  const brokers = await Promise.all([1, 2, 3].map(async () => opened.use(await openBroker(server.url, { events }))));
  const handled: number[] = [];
  for (const broker of brokers) {
    await broker.subscribe(First, (event) => void handled.push(event.detail.n), { group: "group" });
  }
  await Promise.all(Array.from({ length: 300 }, (_, n) => brokers[n % 3]!.publish(new First({ n }))));
  await until(() => handled.length >= 300, "all events are handled");
  assertEquals(new Set(handled).size, 300);
  await until(async () => await connections(server) === 6, "each broker has a blocked read");
  for (const broker of brokers) await within(broker.close(), "the close", AT_ONCE);
});

Deno.test("read() shares one connection among following reads of many streams", async () => {
  await using server = await RedisServer.start();
  await using store = await openStore(server.url);
  const ended = new AbortController();
  const got: string[] = [];
  const following = Array.from({ length: 40 }, async (_, n) => {
    for await (const page of store.read(`s${n}`, { follow: true, signal: ended.signal })) {
      got.push(...page.map(({ fields }) => fields[1]!));
    }
  });
  // All reads follow once each has its first entry.
  for (const round of [1, 2]) {
    for (let n = 0; n < 40; n++) await store.append(`s${n}`, [["id", `${n}`]]);
    await until(() => got.length === round * 40, "each read has its entry");
  }
  assertEquals(await connections(server), 2);
  ended.abort();
  await Promise.allSettled(following);
});
