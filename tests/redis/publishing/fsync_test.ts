// Guarantee 30: a publish with `fsync` waits until the event is on the server's disk, also when its connection is cut.

import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { connect, defineEvent, EventBroker, UncertainPublishError } from "@tidings/broker";
import type { ClientKind } from "../../../src/redis/clients/detect.ts";
import { openRedisStore } from "../../../src/redis/open.ts";
import { until } from "../../../src/testing/_broker_bench.ts";
import { KINDS, LABELS } from "../_bench.ts";
import { knowsCommand } from "./_capabilities.ts";
import { Proxy } from "../_proxy.ts";
import { RedisServer } from "../_server.ts";

class Paid extends defineEvent("Paid")<{ n: number }> {}

const ignore = !await knowsCommand("WAITAOF");
const durability = { fsync: true, timeout: 50 };

async function open(url: URL, kind: ClientKind, publishTimeout = 30_000): Promise<EventBroker<typeof Paid>> {
  return new EventBroker(await openRedisStore(url, { client: kind, redis: { durability } }), {
    events: [Paid],
    publishTimeout,
  });
}

/** How often the server ran WAITAOF. */
async function waits(server: RedisServer): Promise<number> {
  return Number(/cmdstat_waitaof:calls=(\d+)/.exec(await server.cli("INFO", "commandstats"))?.[1] ?? 0);
}

/** A server that never flushes its append-only file to the disk by itself. */
const lazyServer = () => RedisServer.start();

/** Waits until WAITAOF was sent three more times, and asserts that the event is stored while its publish waits. */
async function keepsWaiting(server: RedisServer, published: Promise<string>, stored = 1): Promise<void> {
  let over = false;
  void published.finally(() => over = true).catch(() => {});
  const before = await waits(server);
  await until(async () => over || await waits(server) >= before + 3, "WAITAOF was sent again");
  assertEquals([over, await server.cli("XLEN", "events:Paid")], [false, `${stored}`]);
}

for (const kind of KINDS) {
  Deno.test({
    name: `publish() by ${LABELS[kind]} resolves when the event is on the disk, and it survives the server`,
    ignore,
    fn: async () => {
      await using server = await lazyServer();
      await using broker = await open(server.url, kind);
      const published = broker.publish(new Paid({ n: 1 }));
      await keepsWaiting(server, published);
      await server.cli("CONFIG", "SET", "appendfsync", "everysec");
      const position = await published;
      await server.kill();
      await server.restart();
      assertEquals((await server.cli("XRANGE", "events:Paid", "-", "+")).match(/^\d+-\d+$/gm), [position]);
    },
  });

  Deno.test({
    name: `publish() by ${
      LABELS[kind]
    } waits for the disk again when its connection was cut after the event was stored`,
    ignore,
    fn: async () => {
      await using server = await RedisServer.start(["--appendfsync", "everysec"]);
      await using proxy = new Proxy(server.port);
      await using broker = await open(proxy.url, kind);
      // Now the server has the script, so that the next EVALSHA stores the event.
      const first = await broker.publish(new Paid({ n: 1 }));
      await server.cli("CONFIG", "SET", "appendfsync", "no");
      proxy.inject({ fault: "reply", request: /EVALSHA/ });
      const published = broker.publish(new Paid({ n: 2 }));
      await until(() => proxy.faults === 1, "the connection was cut");
      await keepsWaiting(server, published, 2);
      await server.cli("CONFIG", "SET", "appendfsync", "everysec");
      const positions = [first, await published];
      assertEquals((await Array.fromAsync(broker.history(Paid))).map((event) => event.position), positions);
    },
  });
}

Deno.test({
  name: "publish() is uncertain when the event is not on the disk in time, and resolves later",
  ignore,
  fn: async () => {
    await using server = await lazyServer();
    await using broker = await open(server.url, "node-redis", 300);
    const event = new Paid({ n: 1 });
    const error = await assertRejects(() => broker.publish(event), UncertainPublishError);
    assertStringIncludes(Deno.inspect(error), "the server has not written it to its disk after 50 ms");
    await server.cli("CONFIG", "SET", "appendfsync", "always");
    const position = await broker.publish(event);
    assertEquals((await Array.fromAsync(broker.history(Paid))).map((event) => event.position), [position]);
  },
});

Deno.test("connect() rejects durability.fsync when the server keeps no append-only file", async () => {
  await using server = await RedisServer.start(["--appendonly", "no"]);
  const { message } = await assertRejects(
    () => connect(server.url, { events: [Paid], redis: { durability } }),
    TypeError,
  );
  assertEquals(
    message,
    "Cannot wait for the disk of this server: it keeps no append-only file; set its appendonly to yes",
  );
});

Deno.test({
  name: "connect() rejects durability.fsync and says the way out when the server has no WAITAOF",
  ignore: !ignore,
  fn: async () => {
    await using server = await RedisServer.start();
    const { message } = await assertRejects(
      () => connect(server.url, { events: [Paid], redis: { durability } }),
      TypeError,
    );
    assert(
      /has no command WAITAOF, which needs Redis 7\.2 or Valkey 7\.2; .*appendfsync to always/.test(message),
      message,
    );
  },
});
