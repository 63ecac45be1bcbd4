// Guarantees 15, 30, 33: servers that die, run out of memory, or cannot be reached.

import { assert, assertEquals, assertLess, assertRejects } from "@std/assert";
import { defineEvent, UncertainPublishError } from "@tidings/broker";
import { KINDS, LABELS, openBroker, openConnection } from "./_bench.ts";
import { Proxy } from "./_proxy.ts";
import { RedisServer } from "./_server.ts";
import { sleep, told, until } from "../../src/testing/_broker_bench.ts";

class Counted extends defineEvent("Counted")<{ n: number }> {}
class Large extends defineEvent("Large")<{ n: number; text: string }> {}

const COUNT = 10_000;
const PREFETCH = 100;
const all = Array.from({ length: COUNT }, (_, n) => n);
const inOrder = (numbers: readonly number[]) => numbers.toSorted((a, b) => a - b);

for (const kind of KINDS) {
  Deno.test(`RedisStore by ${LABELS[kind]}: a server that is killed twice among 10,000 events loses none of them`, async () => {
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
    await until(async () => (await live.info(Counted)).groups.length === 1, "the group is there");

    // Two thirds are there at the first kill, and the rest comes over the second.
    const kills: number[] = [];
    const restarting = (async () => {
      for (const share of [3, 2]) {
        await until(() => handled.length >= COUNT / share, `1/${share} is handled`, 20_000);
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
    await until(() => new Set(handled).size === COUNT, "all are handled", 20_000).catch((error) => {
      const missing = all.filter((n) => !handled.includes(n));
      throw new Error(`${error.message}: ${missing.length} are missing, the first ${missing[0]}`);
    });
    await until(() => heard.length >= COUNT, "all are heard", 20_000);
    await until(
      async () => {
        const [group] = (await publisher.info(Counted)).groups;
        return group!.pending === 0 && group!.lag === 0;
      },
      "all are settled",
      20_000,
    );

    assertEquals(kills.length, 2);
    assertEquals(inOrder([...new Set(handled)]), all);
    assertEquals(heard, all, "a live listener hears each once, in order");
    // What had been claimed and not settled may come again, and nothing else.
    assertLess(handled.length - COUNT, 2 * kills.length * PREFETCH + 1);
    for (const events of [...reconnects, liveReconnects]) assert(events.length > 0, "it is told of reconnecting");
  });
}

Deno.test(
  "RedisStore: publish() is all or nothing when memory runs out, consumers go on, and it recovers",
  async () => {
    await using server = await RedisServer.start(["--maxmemory", "12mb", "--maxmemory-policy", "noeviction"]);
    await using broker = await openBroker(server.url, { events: [Large], publishTimeout: 3_000 });
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
    assert(!(error instanceof UncertainPublishError), "nothing is in doubt");
    assert(Deno.inspect(error, { depth: 5 }).includes("OOM"), Deno.inspect(error));
    assert(reconnects.some(({ error }) => error.message.includes("OOM")));
    // As before, but each for itself: consumers make room for some, and the store has those and no other.
    const single = array(stored);
    const results = await Promise.allSettled(single.map((event) => broker.publish(event)));
    const accepted = single.filter((_, i) => results[i]!.status === "fulfilled");
    assertLess(accepted.length, single.length);
    const all = await Array.fromAsync(broker.history(Large));
    assertEquals(all.slice(stored).map(({ id }) => id), accepted.map(({ id }) => id));
    assertEquals(all.length, stored + accepted.length);
    stored = all.length;

    // What makes room again is consumers: they handle, settle, renew and leave all the same.
    await until(() => handled.length === stored, "all that is stored is handled");
    await until(async () => {
      const [group] = (await broker.info(Large)).groups;
      return group!.pending === 0 && group!.lag === 0;
    }, "all are settled");
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
    await until(() => handled.length === stored + 250, "the rest is handled");
  },
);

Deno.test("RedisStore: a broker tries to reconnect ever more rarely and out of step, and goes on once it can", async () => {
  await using server = await RedisServer.start();
  await using proxy = new Proxy(server.port);
  await using broker = await openBroker(proxy.url, { events: [Counted] });
  const [handled, heard]: number[][] = [[], []];
  broker.addEventListener("Counted", (event) => void heard!.push(event.detail.n));
  await using subscription = await broker.subscribe(Counted, (event) => void handled!.push(event.detail.n), {
    group: "group",
  });
  await broker.publish(new Counted({ n: 0 }));
  await until(() => handled!.length === 1 && heard!.length === 1, "the first one has come");

  const tries = told<Event & { delay: number }>(subscription, "reconnect");
  proxy.refuse = true;
  proxy.cut();
  const before = proxy.connections;
  const publishing = broker.publish(new Counted({ n: 1 }));
  await sleep(2_000);
  const connections = proxy.connections - before;
  // Whatever is found wanting below, the broker must be able to say goodbye.
  proxy.refuse = false;
  // One for who claims, one for who listens, one for who publishes: 50 ms, 100 ms, 200 ms, and so on.
  assertLess(connections, 40);
  const delays = tries.map(({ delay }) => delay);
  assert(delays.length >= 4, `${delays}`);
  // Each is up to twice the one before, less jitter of at most a half; two of them may take turns.
  for (const delay of delays) assert(delay >= 24 && delay <= 5_000, `${delays}`);
  assert(Math.max(...delays) >= 200, `they do not grow: ${delays}`);
  assert(delays.some((delay) => ![50, 100, 200, 400, 800, 1_600].includes(delay)), `no jitter: ${delays}`);

  await publishing;
  await broker.publish(new Counted({ n: 2 }));
  await until(() => handled!.length === 3 && heard!.length === 3, "all have come");
  assertEquals([handled, heard], [[0, 1, 2], [0, 1, 2]]);
});
