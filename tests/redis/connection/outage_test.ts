// Guarantees 15, 30, 33: servers that are killed, out of memory, or unreachable.

import { assert, assertEquals, assertLess, assertRejects } from "@std/assert";
import { defineEvent, UncertainPublishError } from "@tidings/broker";
import { KINDS, LABELS, openBroker, openConnection } from "../_bench.ts";
import { Proxy } from "../_proxy.ts";
import { RedisServer } from "../_server.ts";
import { sleep, told, until } from "../../../src/testing/_broker_bench.ts";

class Counted extends defineEvent("Counted")<{ n: number }> {}
class Large extends defineEvent("Large")<{ n: number; text: string }> {}

const COUNT = 10_000;
const PREFETCH = 100;
const all = Array.from({ length: COUNT }, (_, n) => n);
const inOrder = (numbers: readonly number[]) => numbers.toSorted((a, b) => a - b);

for (const kind of KINDS) {
  Deno.test(`publish() and subscribe() by ${LABELS[kind]} lose none of 10,000 events when the server is killed twice`, async () => {
    await using server = await RedisServer.start();
    const open = () => openBroker(server.url, { events: [Counted] }, kind);
    await using publisher = await open();
    await using one = await open();
    await using other = await open();
    await using live = await open();

    const heard: number[] = [];
    live.addEventListener("Counted", (event) => void heard.push(event.detail.n));
    const handled: number[] = [];
    const handler = async (event: Counted) => {
      handled.push(event.detail.n);
      if (event.detail.n % 50 === 0) await sleep(1);
    };
    const options = { group: "group", concurrency: 8, prefetch: PREFETCH };
    const subscriptions = [
      await one.subscribe(Counted, handler, options),
      await other.subscribe(Counted, handler, options),
    ];
    const reconnects = subscriptions.map((subscription) => told(subscription, "reconnect"));
    const liveReconnects = told(live, "reconnect");
    await until(async () => (await live.info(Counted)).groups.length === 1, "the group exists");

    // The first kill is after a third of the events, the second one after half of them.
    const kills: number[] = [];
    const restarting = (async () => {
      for (const share of [3, 2]) {
        await until(() => handled.length >= COUNT / share, `1/${share} of the events is handled`, 20_000);
        await server.kill();
        kills.push(handled.length);
        await sleep(200);
        await server.restart();
      }
    })();
    for (let from = 0; from < COUNT; from += 500) {
      await Promise.all(all.slice(from, from + 500).map((n) => publisher.publish(new Counted({ n }))));
      await until(() => handled.length > from - 2_000, "the consumers keep up", 20_000);
    }
    await restarting;
    await until(() => new Set(handled).size === COUNT, "all events are handled", 20_000).catch((error) => {
      const missing = all.filter((n) => !handled.includes(n));
      throw new Error(`${error.message}: ${missing.length} are missing, first ${missing[0]}`);
    });
    await until(() => heard.length >= COUNT, "all events are heard", 20_000);
    await until(
      async () => {
        const [group] = (await publisher.info(Counted)).groups;
        return group!.pending === 0 && group!.lag === 0;
      },
      "all events are settled",
      20_000,
    );

    assertEquals(kills.length, 2);
    assertEquals(inOrder([...new Set(handled)]), all);
    assertEquals(heard, all, "a live listener hears each once, in order");
    // Only deliveries that were claimed and not settled may be repeated.
    assertLess(handled.length - COUNT, 2 * kills.length * PREFETCH + 1);
    for (const events of [...reconnects, liveReconnects]) assert(events.length > 0, "each reports reconnecting");
  });
}

Deno.test(
  "publish() stores all or nothing when the server is out of memory, consumers go on, and publishing recovers",
  async () => {
    await using server = await RedisServer.start(["--maxmemory", "12mb", "--maxmemory-policy", "noeviction"]);
    await using broker = await openBroker(server.url, { events: [Large], publishTimeout: 1_000 });
    const reconnects = told<Event & { error: Error }>(broker, "reconnect");
    const handled: number[] = [];
    const subscription = await broker.subscribe(Large, (event) => void handled.push(event.detail.n), {
      group: "group",
    });

    const text = "x".repeat(2_000);
    const array = (from: number) => Array.from({ length: 250 }, (_, i) => new Large({ n: from + i, text }));
    let stored = 0;
    const error = await assertRejects(async () => {
      for (; stored < 20_000; stored += 250) await broker.publish(array(stored));
    }, Error);
    assert(!(error instanceof UncertainPublishError), "it is certain that the events are not stored");
    assert(Deno.inspect(error, { depth: 5 }).includes("OOM"), Deno.inspect(error));
    assert(reconnects.some(({ error }) => error.message.includes("OOM")));
    // Single events: consumers make room for some of them, and exactly those are stored.
    const single = array(stored);
    const results = await Promise.allSettled(single.map((event) => broker.publish(event)));
    const accepted = single.filter((_, i) => results[i]!.status === "fulfilled");
    assertLess(accepted.length, single.length);
    const all = await Array.fromAsync(broker.history(Large));
    assertEquals(all.slice(stored).map(({ id }) => id), accepted.map(({ id }) => id));
    assertEquals(all.length, stored + accepted.length);
    stored = all.length;

    // Consumers free memory: they handle, settle, renew and leave while the server refuses publishes.
    await until(() => handled.length === stored, "all stored events are handled");
    await until(async () => {
      const [group] = (await broker.info(Large)).groups;
      return group!.pending === 0 && group!.lag === 0;
    }, "all events are settled");
    await subscription.close();
    assertEquals((await broker.info(Large)).groups[0]!.consumers, []);

    const connection = await openConnection(server.url);
    await connection.send(["CONFIG", "SET", "maxmemory", "0"]);
    connection.close();
    const some = array(100_000);
    const positions = await broker.publish(some);
    const last = await Array.fromAsync(broker.history(Large, { from: positions[0]! }));
    assertEquals(last.map(({ detail }) => detail.n), some.map(({ detail }) => detail.n));
    await using _again = await broker.subscribe(Large, (event) => void handled.push(event.detail.n), {
      group: "group",
    });
    await until(() => handled.length === stored + 250, "the last events are handled");
  },
);

Deno.test("publish() and subscribe() reconnect with growing delays and jitter when the server is unreachable, and go on", async () => {
  await using server = await RedisServer.start();
  await using proxy = new Proxy(server.port);
  await using broker = await openBroker(proxy.url, { events: [Counted] });
  const [handled, heard]: number[][] = [[], []];
  broker.addEventListener("Counted", (event) => void heard!.push(event.detail.n));
  await using subscription = await broker.subscribe(Counted, (event) => void handled!.push(event.detail.n), {
    group: "group",
  });
  await broker.publish(new Counted({ n: 0 }));
  await until(() => handled!.length === 1 && heard!.length === 1, "the first event is handled and heard");

  const tries = told<Event & { delay: number }>(subscription, "reconnect");
  proxy.refuse = true;
  proxy.cut();
  const before = proxy.connections;
  const publishing = broker.publish(new Counted({ n: 1 }));
  await until(() => tries.some(({ delay }) => delay > 400), "the delays have grown").finally(() => {
    // Closing the broker needs connections.
    proxy.refuse = false;
  });
  const connections = proxy.connections - before;
  // The consumer, the listener and the publisher each try after 50 ms, 100 ms, 200 ms, and so on.
  assertLess(connections, 40);
  const delays = tries.map(({ delay }) => delay);
  assert(delays.length >= 4, `${delays}`);
  // Each delay is at most twice the one before, less up to half of it by jitter.
  for (const delay of delays) assert(delay >= 24 && delay <= 5_000, `${delays}`);
  assert(delays.some((delay) => ![50, 100, 200, 400, 800, 1_600].includes(delay)), `there is no jitter: ${delays}`);

  await publishing;
  await broker.publish(new Counted({ n: 2 }));
  await until(() => handled!.length === 3 && heard!.length === 3, "all events are handled and heard");
  assertEquals([handled, heard], [[0, 1, 2], [0, 1, 2]]);
});
