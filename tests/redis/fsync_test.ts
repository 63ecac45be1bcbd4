// Guarantee 30: what a publish waits for is on the server's disk, also after its connection was cut.

import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { connect, defineEvent, EventBroker, UncertainPublishError } from "@tidings/broker";
import type { ClientKind } from "../../src/redis/clients/detect.ts";
import { openRedisStore } from "../../src/redis/open.ts";
import { until } from "../../src/testing/_broker_bench.ts";
import { KINDS, LABELS } from "./_bench.ts";
import { knowsCommand } from "./_capabilities.ts";
import { Proxy } from "./_proxy.ts";
import { RedisServer } from "./_server.ts";

class Paid extends defineEvent("Paid")<{ n: number }> {}

const ignore = !await knowsCommand("WAITAOF");
const durability = { fsync: true, timeout: 50 };

async function open(url: URL, kind: ClientKind, publishTimeout = 30_000): Promise<EventBroker<typeof Paid>> {
  return new EventBroker(await openRedisStore(url, { client: kind, redis: { durability } }), {
    events: [Paid],
    publishTimeout,
  });
}

/** How often somebody has waited for the disk. */
async function waits(server: RedisServer): Promise<number> {
  return Number(/cmdstat_waitaof:calls=(\d+)/.exec(await server.cli("INFO", "commandstats"))?.[1] ?? 0);
}

/** A server that never writes its file to the disk by itself. */
const lazyServer = () => RedisServer.start();

/** Resolves once the server was asked for its disk some more times, and has the event without its being published. */
async function keepsAsking(server: RedisServer, published: Promise<string>, stored = 1): Promise<void> {
  let over = false;
  void published.finally(() => over = true).catch(() => {});
  const before = await waits(server);
  await until(async () => over || await waits(server) >= before + 3, "the server was asked for its disk");
  assertEquals([over, await server.cli("XLEN", "events:Paid")], [false, `${stored}`]);
}

for (const kind of KINDS) {
  Deno.test({
    name: `publish() by ${LABELS[kind]} resolves once the disk has the event, which outlives the server`,
    ignore,
    fn: async () => {
      await using server = await lazyServer();
      await using broker = await open(server.url, kind);
      const published = broker.publish(new Paid({ n: 1 }));
      await keepsAsking(server, published);
      await server.cli("CONFIG", "SET", "appendfsync", "everysec");
      const position = await published;
      await server.kill();
      await server.restart();
      assertEquals((await server.cli("XRANGE", "events:Paid", "-", "+")).match(/^\d+-\d+$/gm), [position]);
    },
  });

  Deno.test({
    name: `publish() by ${LABELS[kind]} waits for the disk anew when its connection was cut after the event was stored`,
    ignore,
    fn: async () => {
      await using server = await RedisServer.start(["--appendfsync", "everysec"]);
      await using proxy = new Proxy(server.port);
      await using broker = await open(proxy.url, kind);
      // The server knows the script from now on, so that the next EVALSHA is what stores the event.
      const first = await broker.publish(new Paid({ n: 1 }));
      await server.cli("CONFIG", "SET", "appendfsync", "no");
      proxy.inject({ fault: "reply", request: /EVALSHA/ });
      const published = broker.publish(new Paid({ n: 2 }));
      await until(() => proxy.faults === 1, "the connection was cut");
      await keepsAsking(server, published, 2);
      await server.cli("CONFIG", "SET", "appendfsync", "everysec");
      const positions = [first, await published];
      assertEquals((await Array.fromAsync(broker.history(Paid))).map((event) => event.position), positions);
    },
  });
}

Deno.test({
  name: "publish() is uncertain when the disk has nothing in time, says so, and tells later",
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

Deno.test("connect() refuses to wait for the disk of a server that keeps no append-only file", async () => {
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
  name: "connect() refuses to wait for the disk of a server that has no WAITAOF, and says what to do",
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
