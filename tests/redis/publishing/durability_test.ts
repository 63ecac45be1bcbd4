// Publishes that wait for replicas or the disk by `redis.durability`.

import { assert, assertEquals, assertLess, assertMatch, assertRejects } from "@std/assert";
import { UncertainPublishError } from "@tidings/broker";
import { openRedisStore } from "../../../src/redis/open.ts";
import type { RedisOptions } from "../../../src/redis_options.ts";
import { RedisStore } from "../../../src/redis/redis_store.ts";
import { SingleServer } from "../../../src/redis/connection/_single_server.ts";
import type { TimedConnection } from "../../../src/redis/connection/_connection.ts";
import { StoreError } from "../../../src/store/mod.ts";
import { told, until } from "../../../src/testing/_broker_bench.ts";
import { KINDS, LABELS, openConnection } from "../_bench.ts";
import { openHurriedBroker } from "../_hurried.ts";
import { Counted, counted, openBroker, Pair } from "./_pair.ts";
import { RedisServer } from "../_server.ts";

const PUBLISH_TIMEOUT = 800;

Deno.test("publish() stores an event once however often it waits for replicas, and resolves when they are back", async () => {
  await using pair = await Pair.start();
  await using broker = await openBroker(pair.master, { durability: { replicas: 1, timeout: 100 } }, PUBLISH_TIMEOUT);
  await broker.publish(new Counted({ n: 0 }));
  await pair.freeze();
  const [event] = counted(1);
  const scripts = async () =>
    Number(/cmdstat_evalsha:calls=(\d+)/.exec(await pair.master.cli("INFO", "commandstats"))![1]);
  const before = await scripts();
  const start = performance.now();
  await assertRejects(() => broker.publish(event!), UncertainPublishError, "0 of 1 replicas have it");
  // After the publish timeout, the wait that is in flight ends; the rest is for a busy machine.
  assertLess(performance.now() - start, PUBLISH_TIMEOUT + 100 + 2_000);
  assert(await scripts() > before + 2, "the publish is sent again");
  assertEquals(await pair.master.cli("XLEN", "events:Counted"), "2");

  await pair.thaw();
  const position = await broker.publish(event!);
  const there = await Array.fromAsync(broker.history(Counted));
  assertEquals(there.map(({ id }) => id).slice(1), [event!.id]);
  assertEquals(there[1]!.position, position);
});

Deno.test("publish() is uncertain when the wait for replicas goes to another server", async () => {
  await using pair = await Pair.start();
  await using lone = await RedisServer.start();
  // The connection to the server without a replica is lost after the reply, and another append notices that before the
  // wait. The next connection is to a server with a replica.
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

Deno.test("publish() waits for replicas once for all batches in flight", async () => {
  await using pair = await Pair.start();
  // Commands have a deadline of 1.25 s, which waits of eight batches one after the other would exceed.
  const redis = { durability: { replicas: 1, timeout: 250 } };
  const options = { events: [Counted], publishTimeout: 1_000 };
  await using broker = await openHurriedBroker(pair.master.url, options, { times: 4, redis });
  told(broker, "reconnect");
  await broker.publish(new Counted({ n: 0 }));
  const connections = async () => /total_connections_received:(\d+)/.exec(await pair.master.cli("INFO", "stats"))![1];
  await pair.freeze();
  const before = Number(await connections());
  const results = await Promise.allSettled(counted(1_000).map((event) => broker.publish(event)));
  for (const result of results) {
    assert(result.status === "rejected" && result.reason instanceof UncertainPublishError);
    assertMatch(result.reason.message, /0 of 1 replicas have it after 250 ms/);
  }
  // No command exceeded its deadline behind other waits. The one new connection is that of redis-cli.
  assertEquals(Number(await connections()), before + 1);
  assertEquals(await pair.master.cli("XLEN", "events:Counted"), "1001");
  await pair.thaw();
});

for (const kind of KINDS) {
  Deno.test(`openRedisStore() by ${LABELS[kind]} rejects when the server forbids or lacks the wait for durability`, async () => {
    await using server = await RedisServer.start(["--appendfsync", "everysec"]);
    const rules = ["on", ">secret", "~*", "+@all", "-wait", "-waitaof"];
    const hasNone = await server.cli("COMMAND", "INFO", "WAITAOF") === "";
    await server.cli("ACL", "SETUSER", "waitless", ...rules.filter((rule) => !hasNone || rule !== "-waitaof"));
    const open = (redis: RedisOptions) => openRedisStore(server.url, { client: kind, redis });
    const denied = await assertRejects(
      () => open({ username: "waitless", password: "secret", durability: { replicas: 1 } }),
      Error,
    );
    assertMatch(
      denied.message,
      /^Cannot connect to redis:\/\/[\d.:]+: its user lacks a permission; grant it with ACL SETUSER/,
    );
    assert(!(denied instanceof StoreError), "the error is permanent");

    if (hasNone) {
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
    await until(
      async () => await server.cli("CONFIG", "SET", "appendonly", "no") === "OK",
      "the server stops writing its file",
    );
    await assertRejects(() => open({ durability: { fsync: true } }), TypeError, "set its appendonly to yes");
  });
}
