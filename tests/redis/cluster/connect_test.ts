// Guarantee 34: connecting to a cluster, and errors that say the way out.

import { assertEquals, assertLess, assertMatch, assertRejects, assertStringIncludes } from "@std/assert";
import { connect, defineEvent, RedisBroker } from "@tidings/broker";
import { Cluster, Redis } from "ioredis";
import { createClient, createCluster } from "redis";
import { slotOf } from "../../../src/redis/connection/cluster/_slots.ts";
import { until } from "../../../src/testing/_broker_bench.ts";
import { LABELS } from "../_bench.ts";
import { failure } from "../_clients.ts";
import { eventually, RedisCluster } from "../_cluster.ts";
import { freePort } from "../_free_port.ts";
import { RedisServer } from "../_server.ts";
import { NO_FILE, warningsOf } from "../_warnings.ts";

// With a suitable prefix, each of the three nodes has the stream of one of these.
class Opened extends defineEvent("Opened")<{ n: number }> {}
class Paid extends defineEvent("Paid")<{ n: number }> {}
class Closed extends defineEvent("Closed")<{ n: number }> {}
const events = [Opened, Paid, Closed];

let cluster: RedisCluster;
// Without an append-only file, brokers have something to warn of.
Deno.test.beforeAll(async () => void (cluster = await RedisCluster.start({ args: () => ["--appendonly", "no"] })));
Deno.test.afterAll(async () => await cluster[Symbol.asyncDispose]());

/** How many connections each node has, except that of redis-cli. */
function connections(): Promise<number[]> {
  return Promise.all(cluster.masters.map(async (master) => {
    const list = await master.cli("CLIENT", "LIST");
    return list.split("\n").filter((line) => line !== "" && !line.includes("cmd=client|list")).length;
  }));
}

/** A new prefix that spreads the streams over all nodes. */
function spreadingPrefix(): string {
  for (;;) {
    const prefix = `spread-${crypto.randomUUID()}`;
    const nodes = events.map(({ type }) => cluster.indexOf(`${prefix}:${type}`));
    if (new Set(nodes).size === events.length) return prefix;
  }
}

Deno.test("slotOf() returns the slot that CLUSTER KEYSLOT returns, also for the keys of a group", async () => {
  for (const stream of ["events:Opened", "events:Überweisung", "shop:Paid", "123456789"]) {
    for (const key of [stream, `{${stream}}:dead:group`]) {
      assertEquals(await cluster.masters[0]!.cli("CLUSTER", "KEYSLOT", key), String(slotOf(stream)));
    }
  }
});

for (const kind of Object.keys(LABELS) as (keyof typeof LABELS)[]) {
  Deno.test(`RedisBroker by ${LABELS[kind]} opens one connection to each node, and one for each blocked read`, async () => {
    const prefix = spreadingPrefix();
    await eventually(async () => (await connections()).every((count) => count === 0));
    const broker = await RedisBroker.connect(cluster.url, { client: kind, events, prefix });
    const handled: string[] = [];
    const heard: string[] = [];
    const groups = ["one", "two"];
    for (const group of groups) await broker.subscribe(events, (event) => void handled.push(event.id), { group });
    broker.addEventListener("Paid", (event) => void heard.push(event.id));
    for (let n = 0; n < 50; n++) await Promise.all(events.map((Type) => broker.publish(new Type({ n }))));
    await until(() => handled.length === 300 && heard.length === 50, "all events are handled and heard");
    const live = cluster.indexOf(`${prefix}:Paid`);
    assertEquals(await connections(), cluster.masters.map((_, nth) => 1 + groups.length + (nth === live ? 1 : 0)));
    await broker.close();
    await eventually(async () => (await connections()).every((count) => count === 0));
  });
}

Deno.test("connect() connects to a cluster when the URL begins with redis+cluster: or redis-cluster:", async () => {
  const prefix = spreadingPrefix();
  for (const url of [cluster.url, cluster.url.replace("+", "-")]) {
    await using broker = await connect(url, { events, prefix });
    for (const Type of events) await broker.publish(new Type({ n: 1 }));
  }
  for (const { type } of events) {
    const master = cluster.masters[cluster.indexOf(`${prefix}:${type}`)]!;
    assertEquals(await master.cli("XLEN", `${prefix}:${type}`), "2");
  }
});

Deno.test("connect() checks the servers when they are nodes of a cluster", async () => {
  const setPolicy = async (policy: string) => {
    for (const master of cluster.masters) await master.cli("CONFIG", "SET", "maxmemory-policy", policy);
  };
  assertEquals(await warningsOf(cluster.url), [NO_FILE]);
  await setPolicy("allkeys-lru");
  await assertRejects(() => connect(cluster.url, { events }), TypeError, "maxmemory-policy is allkeys-lru");
  assertEquals((await warningsOf(cluster.url, { allowEviction: true })).length, 2);
  await setPolicy("noeviction");
});

Deno.test("connect() finds all nodes of a cluster when the URL names one", async () => {
  await using broker = await connect(cluster.masters[1]!.url, { events, prefix: spreadingPrefix() });
  for (const Type of events) await broker.publish(new Type({ n: 1 }));
  for (const Type of events) assertEquals((await broker.info(Type)).length, 1);
});

Deno.test("RedisBroker.connect() refuses a client for a single server when that is a node of a cluster", async () => {
  const { port } = cluster.masters[0]!;
  const clients = [
    createClient({ socket: { host: "127.0.0.1", port } }),
    new Redis({ host: "127.0.0.1", port, lazyConnect: true }),
  ];
  for (const client of clients) {
    await assertRejects(
      () => RedisBroker.connect(client, { events }),
      TypeError,
      "Cannot use this client for a Redis Cluster: it is a client for a single server; give one for clusters, as " +
        "made by createCluster of npm:redis or new Cluster of npm:ioredis, or a URL",
    );
  }
});

Deno.test("connect() refuses a cluster URL when the server is no cluster", async () => {
  await using server = await RedisServer.start();
  const client = createCluster({ rootNodes: [{ url: server.url.href }] });
  for (const target of [`redis+cluster://127.0.0.1:${server.port}`, client]) {
    const message = "Cannot use this Redis as a cluster: its cluster-enabled is off";
    await assertRejects(() => RedisBroker.connect(target, { events }), TypeError, message);
  }
});

Deno.test("connect() uses another database of a cluster than 0 where it has one, and refuses it elsewhere", async () => {
  // Valkey has them since version 9, and none beside database 0 by default.
  const isValkey9 = /^valkey_version:(9|\d\d)\./m.test(await cluster.masters[0]!.cli("INFO", "server"));
  const refusal = isValkey9
    ? /: it has no database of that number; give a lower number after the slash, or none$/
    : /: it is a node of a Redis Cluster, which has only database 0; leave out the number after the slash$/;
  for (const url of [`${cluster.masters[0]!.url}/3`, `${cluster.url}/3`]) {
    assertMatch((await failure(connect(url, { events }))).error.message, refusal);
  }
  if (!isValkey9) return;
  const args = () => ["--appendonly", "no", "--cluster-databases", "4"];
  await using several = await RedisCluster.start({ args });
  const [Type, prefix] = [Paid, "numbered"];
  const node = several.masters[several.indexOf(`${prefix}:Paid`)]!;
  for (const url of [`${several.masters[0]!.url}/3`, `${several.url}/3`]) {
    for (const kind of Object.keys(LABELS) as (keyof typeof LABELS)[]) {
      await using broker = await RedisBroker.connect(url, { client: kind, events, prefix });
      const handled: string[] = [];
      await broker.subscribe(Type, (event) => void handled.push(event.id), { group: kind, startFrom: "now" });
      const event = new Type({ n: 1 });
      await broker.publish(event);
      await until(() => handled.includes(event.id), "the event is handled");
    }
  }
  assertEquals(await node.cli("-n", "3", "XLEN", `${prefix}:Paid`), String(2 * Object.keys(LABELS).length));
  assertEquals(await node.cli("DBSIZE"), "0");
});

for (const kind of Object.keys(LABELS) as (keyof typeof LABELS)[]) {
  Deno.test(`RedisBroker by ${LABELS[kind]} connects when some nodes of the URL are dead, and rejects at once when all are`, async () => {
    const dead = [freePort(), freePort()].map((port) => `127.0.0.1:${port}`);
    const living = `127.0.0.1:${cluster.masters[2]!.port}`;
    const some = `redis+cluster://${[...dead, living].join(",")}`;
    await using broker = await RedisBroker.connect(some, {
      client: kind,
      events,
      prefix: `seeds-${kind.replace("@", "")}`,
    });
    await broker.publish(new Opened({ n: 1 }));
    assertEquals((await broker.info(Opened)).length, 1);

    const url = `redis+cluster://user:sesame@${dead.join(",")}`;
    const { error, after } = await failure(RedisBroker.connect(url, { client: kind, events }));
    assertEquals(
      error.message,
      `Cannot connect to redis+cluster://${
        dead.join(",")
      }: nothing listens there; start one with \`redis-server\` or ` +
        "`docker compose up -d redis`",
    );
    assertLess(after, 1_000);
  });
}

Deno.test("connect() says that the password is wrong when another node of the URL is dead", async () => {
  await using server = await RedisServer.start(["--requirepass", "right"]);
  const seeds = `127.0.0.1:${server.port},127.0.0.1:${freePort()}`;
  const { error, after } = await failure(connect(`redis+cluster://:sesame@${seeds}`, { events }));
  assertStringIncludes(
    error.message,
    `Cannot connect to redis+cluster://${seeds}: wrong user or password; correct them`,
  );
  assertLess(after, 1_000);
});

Deno.test("RedisBroker.connect() neither uses nor closes a cluster client that was passed in", async () => {
  const places = cluster.masters.map(({ port }) => ({ host: "127.0.0.1", port }));
  const client = new Cluster(places);
  try {
    await client.set("theirs", "1");
    const broker = await RedisBroker.connect(client, { events, prefix: "adopted" });
    await broker.publish(new Opened({ n: 1 }));
    await broker.close();
    assertEquals(await client.get("theirs"), "1");
  } finally {
    await client.quit();
  }
});
