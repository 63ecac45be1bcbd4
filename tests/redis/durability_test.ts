// What replication can lose, and what `redis.durability` makes of that.

import { assert, assertEquals, assertLess, assertMatch, assertRejects } from "@std/assert";
import { EventBroker, UncertainPublishError } from "@tidings/broker";
import { openRedisStore } from "../../src/redis/open.ts";
import type { RedisOptions } from "../../src/redis_options.ts";
import { RedisStore } from "../../src/redis/redis_store.ts";
import { SingleServer } from "../../src/redis/connection/_single_server.ts";
import type { TimedConnection } from "../../src/redis/connection/_connection.ts";
import { StoreError } from "../../src/store/mod.ts";
import { told, until } from "../../src/testing/_broker_bench.ts";
import { KINDS, LABELS, openConnection } from "./_bench.ts";
import { Counted, counted, openBroker, Pair } from "./_pair.ts";
import { RedisServer } from "./_server.ts";

Deno.test("publish() to Redis stores an event once however often it waits for replicas, and succeeds when they are back", async () => {
  await using pair = await Pair.start();
  await using broker = await openBroker(pair.master, { durability: { replicas: 1, timeout: 100 } });
  await broker.publish(new Counted({ n: 0 }));
  await pair.freeze();
  const [event] = counted(1);
  const scripts = async () =>
    Number(/cmdstat_evalsha:calls=(\d+)/.exec(await pair.master.cli("INFO", "commandstats"))![1]);
  const before = await scripts();
  const start = performance.now();
  await assertRejects(() => broker.publish(event!), UncertainPublishError, "0 of 1 replicas have it");
  // The time to publish in, the wait that is under way then, and the look whether time is over.
  assertLess(performance.now() - start, 1_500 + 100 + 2_000);
  assert(await scripts() > before + 2, "it asks again and again");
  assertEquals(await pair.master.cli("XLEN", "events:Counted"), "2");

  await pair.thaw();
  const position = await broker.publish(event!);
  const there = await Array.fromAsync(broker.history(Counted));
  assertEquals(there.map(({ id }) => id).slice(1), [event!.id]);
  assertEquals(there[1]!.position, position);
});

Deno.test("publish() to Redis is not held for durable where the wait goes to another server", async () => {
  await using pair = await Pair.start();
  await using lone = await RedisServer.start();
  // The connection to the one that has no replica is lost behind the answer, and somebody else notices that before it is
  // asked to wait; the next one is to a server that has a replica.
  const inner = await openConnection(lone.url);
  let losses = 0;
  const first: TimedConnection = {
    send: async (command, timeout) => {
      const reply = await inner.send(command, timeout);
      if (command[0] === "EVAL" && ++losses === 1) {
        inner.close();
        await assertRejects(() => append(2), StoreError, "the connection is closed");
      }
      return reply;
    },
    open: () => inner.open(),
    close: () => inner.close(),
  };
  const connections = [first, await openConnection(pair.master.url)];
  const topology = new SingleServer({ ...first, open: () => Promise.resolve(connections.shift()!) }, "two servers");
  await using store = new RedisStore(topology, { durability: { replicas: 1, timeout: 500 } });
  const append = (sequence: number) =>
    store.append("events:Counted", [["id", "1", "payload", "{}"]], {
      producer: { id: "producer", sequence, decided: sequence - 1, known: false },
    });
  const error = await assertRejects(() => append(1), StoreError, "Cannot tell whether the event is durable");
  assertEquals(error.kind, "uncertain");
  assertEquals(losses, 1);
  assertEquals((await append(1)).length, 1);
  assertEquals(await pair.replica.cli("XLEN", "events:Counted"), "1");
});

Deno.test("publish() to Redis shares the wait: many batches at once do not wait one after the other", async () => {
  await using pair = await Pair.start();
  const store = await openRedisStore(pair.master.url, {
    client: "node-redis",
    redis: { durability: { replicas: 1, timeout: 1_000 } },
  });
  await using broker = new EventBroker(store, { events: [Counted], publishTimeout: 2_500 });
  told(broker, "reconnect");
  await broker.publish(new Counted({ n: 0 }));
  const connections = async () => /total_connections_received:(\d+)/.exec(await pair.master.cli("INFO", "stats"))![1];
  await pair.freeze();
  const before = Number(await connections());
  const results = await Promise.allSettled(counted(1_000).map((event) => broker.publish(event)));
  for (const result of results) {
    assert(result.status === "rejected" && result.reason instanceof UncertainPublishError);
    assertMatch(result.reason.message, /0 of 1 replicas have it after 1000 ms/);
  }
  // Nothing ran into the deadline of commands behind the waits of others: the one more is who asks.
  assertEquals(Number(await connections()), before + 1);
  assertEquals(await pair.master.cli("XLEN", "events:Counted"), "1001");
  await pair.thaw();
});

for (const kind of KINDS) {
  Deno.test(`openRedisStore() by ${LABELS[kind]} says at once when it may not, or cannot, wait for what it was asked`, async () => {
    await using server = await RedisServer.start(["--appendfsync", "everysec"]);
    const rules = ["on", ">secret", "~*", "+@all", "-wait", "-waitaof"];
    const some = await server.cli("COMMAND", "INFO", "WAITAOF") === "";
    await server.cli("ACL", "SETUSER", "waitless", ...rules.filter((rule) => !some || rule !== "-waitaof"));
    const open = (redis: RedisOptions) => openRedisStore(server.url, { client: kind, redis });
    const denied = await assertRejects(
      () => open({ username: "waitless", password: "secret", durability: { replicas: 1 } }),
      Error,
    );
    assertMatch(
      denied.message,
      /^Cannot connect to redis:\/\/[\d.:]+: its user lacks a permission; grant it with ACL SETUSER/,
    );
    assert(!(denied instanceof StoreError), "it will not change by itself");

    if (some) {
      await assertRejects(
        () => open({ durability: { fsync: true } }),
        TypeError,
        "it has no command WAITAOF, which needs Redis 7.2",
      );
    } else {
      await using store = await open({ durability: { fsync: true, timeout: 10_000 } });
      const [position] = await store.append("events:Counted", [["payload", "{}"]]);
      assertMatch(await server.cli("XRANGE", "events:Counted", position!, position!), /payload/);
    }
    await until(async () => await server.cli("CONFIG", "SET", "appendonly", "no") === "OK", "the file is given up");
    await assertRejects(() => open({ durability: { fsync: true } }), TypeError, "set its appendonly to yes");
  });
}
