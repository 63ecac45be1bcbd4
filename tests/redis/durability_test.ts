// What replication can lose, and what `redis.durability` makes of that.

import { assert, assertEquals, assertLess, assertMatch, assertRejects } from "@std/assert";
import { defineEvent, EventBroker, UncertainPublishError } from "@tidings/broker";
import { openRedisStore } from "../../src/redis/open.ts";
import type { RedisOptions } from "../../src/redis_options.ts";
import { RedisStore } from "../../src/redis/redis_store.ts";
import { SingleServer } from "../../src/redis/_topology.ts";
import type { TimedConnection } from "../../src/redis/_connection.ts";
import { StoreError } from "../../src/store/mod.ts";
import { told, until } from "../../src/testing/_broker_bench.ts";
import { KINDS, LABELS, openConnection } from "./_bench.ts";
import { eventually } from "./_cluster.ts";
import { RedisServer } from "./_server.ts";

class Counted extends defineEvent("Counted")<{ n: number }> {}

const counted = (count: number) => Array.from({ length: count }, (_, n) => new Counted({ n }));

async function openBroker(server: RedisServer, redis: RedisOptions, publishTimeout = 1_500) {
  const store = await openRedisStore(server.url, { client: "node-redis", redis });
  const broker = new EventBroker(store, { events: [Counted], publishTimeout });
  told(broker, "reconnect");
  return broker;
}

/** A master and its replica. */
class Pair implements AsyncDisposable {
  readonly master: RedisServer;
  readonly replica: RedisServer;

  private constructor(master: RedisServer, replica: RedisServer) {
    this.master = master;
    this.replica = replica;
  }

  static async start(): Promise<Pair> {
    const [master, replica] = await Promise.all([RedisServer.start(), RedisServer.start()]);
    await replica.cli("REPLICAOF", "127.0.0.1", String(master.port));
    const pair = new Pair(master, replica);
    await pair.#attached();
    return pair;
  }

  async #attached(): Promise<void> {
    await eventually(async () => (await this.master.cli("INFO", "replication")).includes("state=online"));
  }

  /** Has the replica stand still. The master gives it up, as it does by itself after `repl-timeout`. */
  async freeze(): Promise<void> {
    this.replica.pause();
    await this.master.cli("CLIENT", "KILL", "TYPE", "replica");
  }

  async thaw(): Promise<void> {
    this.replica.resume();
    await this.#attached();
  }

  /** Kills the master, and has the replica take its place. */
  async failover(): Promise<RedisServer> {
    await this.master.kill();
    this.replica.resume();
    await this.replica.cli("REPLICAOF", "NO", "ONE");
    return this.replica;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.replica.resume();
    await Promise.all([this.master, this.replica].map((server) => server[Symbol.asyncDispose]()));
  }
}

async function idsOn(server: RedisServer): Promise<string[]> {
  await using broker = await openBroker(server, {});
  return (await Array.fromAsync(broker.history(Counted))).map(({ id }) => id);
}

Deno.test("publish() to Redis is answered for events that a failover loses, unless it waits for replicas", async () => {
  const cases = [[undefined, 500], [{ replicas: 1, timeout: 200 }, 0]] as const;
  await Promise.all(cases.map(async ([durability, lost]) => {
    await using pair = await Pair.start();
    const broker = await openBroker(pair.master, durability ? { durability } : {});
    const [early, late] = [counted(300), counted(500)];
    await broker.publish(early);
    // Without waiting for replicas it may still be on its way.
    await eventually(async () => await pair.replica.cli("XLEN", "events:Counted") === "300");
    await pair.freeze();
    const results = await Promise.allSettled(late.map((event) => broker.publish(event)));
    const refusals = results.flatMap((result) => result.status === "rejected" ? [result.reason] : []);
    const answered = [...early, ...late.filter((_, nth) => results[nth]!.status === "fulfilled")].map(({ id }) => id);
    // It goes on asking about what is in doubt, for as long as closing may take.
    const closing = broker.close();

    const there = await idsOn(await pair.failover());
    assertEquals(there, early.map(({ id }) => id));
    assertEquals(answered.filter((id) => !there.includes(id)).length, lost);
    assertEquals(refusals.length, 500 - lost);
    for (const error of refusals) {
      assert(error instanceof UncertainPublishError, Deno.inspect(error));
      assertMatch(error.message, /0 of 1 replicas have it after 200 ms/);
    }
    await closing;
  }));
});

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
        await assertRejects(() => append(2), StoreError, "the connection was closed");
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
  const error = await assertRejects(() => append(1), StoreError, "Cannot tell whether it will last");
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
    await using server = await RedisServer.start();
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
      /^Cannot connect to redis:\/\/[\d.:]+: its user may not do this; allow it with ACL SETUSER/,
    );
    assert(!(denied instanceof StoreError), "it will not change by itself");

    if (some) {
      await assertRejects(
        () => open({ durability: { fsync: true } }),
        TypeError,
        "it has no WAITAOF, which needs Redis 7.2",
      );
    } else {
      await using store = await open({ durability: { fsync: true } });
      const [position] = await store.append("events:Counted", [["payload", "{}"]]);
      assertMatch(await server.cli("XRANGE", "events:Counted", position!, position!), /payload/);
    }
    await until(async () => await server.cli("CONFIG", "SET", "appendonly", "no") === "OK", "the file is given up");
    await assertRejects(() => open({ durability: { fsync: true } }), TypeError, "set appendonly to yes");
  });
}
