// Checks of a server when a broker connects to it.

import { assert, assertEquals, assertInstanceOf, assertMatch, assertRejects } from "@std/assert";
import { connect, defineEvent, type RedisOptions, StoreError } from "@tidings/broker";
import { told } from "../../../src/testing/_broker_bench.ts";
import { Pretender } from "./_pretender.ts";
import { WatchedServers } from "../_sentinel.ts";
import { RedisServer } from "../_server.ts";
import { NO_FILE, warningsOf } from "../_warnings.ts";

class Sold extends defineEvent("Sold")<{ n: number }> {}
const events = [Sold];

const open = (url: string | URL, redis?: RedisOptions) => connect(url, { events, ...(redis && { redis }) });

function serverThatSays(...lines: readonly string[]): Pretender {
  const info = ["# Server", ...lines, ""].join("\r\n");
  return new Pretender((request) => {
    if (/INFO/.test(request)) return `$${info.length}\r\n${info}\r\n`;
    if (/PING/.test(request)) return "+PONG\r\n";
    return undefined;
  });
}

Deno.test("connect() names the version found and the one needed when the server is too old", async () => {
  const old: Record<string, readonly string[]> = {
    "a Redis of version 6.2.14": ["redis_version:6.2.14"],
    "a Redis of version 2.8.0": ["redis_version:2.8.0"],
    "a Redis of version 6.999.0": ["redis_version:6.999.0"],
    "a Redis of version unknown": ["redis_mode:standalone"],
    // Valkey reports a compatible Redis version besides its own, which counts.
    "a Valkey of version 7.1.9": ["redis_version:7.2.4", "server_name:valkey", "valkey_version:7.1.9"],
  };
  for (const [what, lines] of Object.entries(old)) {
    await using server = serverThatSays(...lines);
    const { message } = await assertRejects(() => open(server.url), TypeError);
    assertEquals(message, `Cannot use ${what}: Redis 7.0 or Valkey 7.2 is needed; upgrade the server`);
  }
});

Deno.test("connect() accepts a server when it is new enough", async () => {
  const versions = ["7.0.0", "7.2.4", "8.0.1", "10.1.0"].map((version) => [`redis_version:${version}`]);
  const valkeys = ["7.2.5", "8.1.0", "10.0.0"].map((version) => ["redis_version:7.2.4", `valkey_version:${version}`]);
  for (const lines of [...versions, ...valkeys]) {
    await using server = serverThatSays(...lines);
    await using _broker = await open(server.url);
  }
});

Deno.test("connect() says the way out when the server is a replica", async () => {
  await using master = await RedisServer.start();
  await using replica = await RedisServer.start(["--replicaof", "127.0.0.1", String(master.port)]);
  const error = await assertRejects(() => open(replica.url), StoreError);
  assertEquals(error.kind, "transient");
  assertMatch(error.message, /: it is a replica; connect to its master, or to its Sentinels if it has any$/);
  // It may become a master at any time.
  await replica.cli("REPLICAOF", "NO", "ONE");
  assertEquals(await warningsOf(replica.url), []);
});

Deno.test("connect() rejects when the server may evict streams, and warns with allowEviction", async () => {
  for (const policy of ["allkeys-lru", "allkeys-lfu", "allkeys-random"]) {
    await using server = await RedisServer.start(["--maxmemory-policy", policy]);
    const { message } = await assertRejects(() => open(server.url), TypeError);
    assertEquals(
      message,
      `Cannot use a Redis whose maxmemory-policy is ${policy}: it would silently remove whole streams when its memory ` +
        "runs out; set it to noeviction, or accept the loss with redis: { allowEviction: true }",
    );
    await assertRejects(() => open(server.url, { allowEviction: false }), TypeError);
    assertEquals(await warningsOf(server.url, { allowEviction: true }), [
      `maxmemory-policy is ${policy}: the server removes whole streams when its memory runs out`,
    ]);
  }
});

Deno.test("connect() gives no warning when the server is well configured", async () => {
  // These policies evict only keys with an expiry, which streams do not have.
  for (const policy of ["noeviction", "volatile-lru", "volatile-ttl"]) {
    await using server = await RedisServer.start(["--maxmemory-policy", policy]);
    assertEquals(await warningsOf(server.url), []);
    assertEquals(await warningsOf(server.url, { allowEviction: true }), []);
  }
});

Deno.test("connect() warns once when the server keeps no append-only file, and publishing works", async () => {
  await using server = await RedisServer.start(["--appendonly", "no"]);
  assertEquals(await warningsOf(server.url), [NO_FILE]);
  await server.cli("CONFIG", "SET", "maxmemory-policy", "allkeys-lru");
  assertEquals(await warningsOf(server.url, { allowEviction: true }), [
    "maxmemory-policy is allkeys-lru: the server removes whole streams when its memory runs out",
    NO_FILE,
  ]);
});

Deno.test("publish() works when no listener hears the warnings", async () => {
  await using server = await RedisServer.start(["--appendonly", "no"]);
  await using broker = await open(server.url);
  const errors = told(broker, "error");
  await broker.publish(new Sold({ n: 1 }));
  assertEquals((await broker.info(Sold)).length, 1);
  assertEquals(errors.length, 0);
});

Deno.test("connect() checks the server when it is a master behind Sentinels", async () => {
  await using watched = await WatchedServers.start({ args: ["--appendonly", "no"] });
  assertEquals(await warningsOf(watched.url), [NO_FILE]);
  await watched.servers[0]!.cli("CONFIG", "SET", "maxmemory-policy", "allkeys-lru");
  await assertRejects(() => open(watched.url), TypeError, "maxmemory-policy is allkeys-lru");
  const unknown = watched.url.replace(/\w+$/, "nobody");
  const error = await assertRejects(() => open(unknown), StoreError);
  assertInstanceOf(error, StoreError);
  assert(error.message.includes('knows no master "nobody"'), error.message);
});
