// Every way to connect by Sentinels; sentinel_contract_long_test.ts runs the contract suites by each of them.

import { assertEquals, assertMatch, assertRejects } from "@std/assert";
import { EventBroker } from "@tidings/broker";
import { Redis as IoRedis } from "ioredis";
import { createSentinel } from "redis";
import { openRedisStore } from "../../../src/redis/open.ts";
import { StoreError } from "../../../src/store/mod.ts";
import { assertSame, Counted, counted, Seen, settled } from "../../../src/testing/_broker_bench.ts";
import { WatchedServers } from "../_sentinel.ts";
import { SharedWatched, WAYS } from "./_watched.ts";
import { freePort } from "../_free_port.ts";

const shared = new SharedWatched();

for (const [way, make] of Object.entries(WAYS)) {
  Deno.test(`openRedisStore() finds the master by Sentinels, by ${way}`, async () => {
    await using keys = shared.keys();
    const { target, kind } = make(shared.watched);
    const open = async () =>
      new EventBroker(await openRedisStore(target, { ...(kind && { client: kind }) }), {
        events: [Counted],
        prefix: keys.prefix,
      });
    await using publisher = await open();
    await using consumer = await open();
    const events = counted(500);
    await publisher.publish(events.slice(0, 250));
    const seen = new Seen<Counted>();
    await using _subscription = await consumer.subscribe(Counted, seen.handler, { group: "group", concurrency: 8 });
    await Promise.all(events.slice(250).map((event) => publisher.publish(event)));
    await settled(consumer, Counted);
    assertSame(seen.events, events);
    assertEquals(await shared.watched.servers[0]!.cli("XLEN", `${keys.prefix}:Counted`), "500");
    // A client that was passed in only tells the addresses; it is not connected.
    if (typeof target === "object") {
      const { isOpen, status } = target as { isOpen?: boolean; status?: string };
      assertEquals(isOpen ?? status !== "wait", false);
    }
  });
}

Deno.test("openRedisStore() says what each Sentinel replied when none knows the master or none is reachable", async () => {
  const { ports, url } = shared.watched;
  const unknown = await assertRejects(
    () => openRedisStore(url.replace(/\w+$/, "other"), { client: "node-redis" }),
    StoreError,
  );
  assertEquals(
    unknown.message,
    `Cannot find the master "other" by its Sentinels now: ${
      ports.map((port) => `127.0.0.1:${port} knows no master "other"; compare SENTINEL MASTERS there`).join("; ")
    }`,
  );
  const nobody = `redis+sentinel://127.0.0.1:${freePort()},127.0.0.1:${freePort()}/mymaster`;
  const away = await assertRejects(() => openRedisStore(nobody, { client: "node-redis" }), StoreError);
  assertMatch(away.message, /^Cannot find the master "mymaster" by its Sentinels now: (.*nothing listens there.*){2}$/);
  // One reachable Sentinel is enough.
  await using store = await openRedisStore(`${nobody.replace("/mymaster", "")},127.0.0.1:${ports[1]}/mymaster`, {
    client: "node-redis",
  });
  assertEquals(await store.admin("events:Counted").info().then(({ length }) => length), 0);
});

Deno.test("openRedisStore() uses the client's password for Sentinels when they need one", async () => {
  await using watched = await WatchedServers.start({ password: "sesame" });
  const { name, ports } = watched;
  const places = ports.map((port) => ({ host: "127.0.0.1", port }));
  const clients = [
    createSentinel({ name, sentinelRootNodes: places, sentinelClientOptions: { password: "sesame" } }),
    new IoRedis({ name, sentinels: places, sentinelPassword: "sesame", lazyConnect: true }),
  ];
  for (const client of clients) {
    await using store = await openRedisStore(client);
    assertEquals((await store.append("events:Counted", [["id", "1", "payload", "{}"]])).length, 1);
  }
  const refused = await assertRejects(() => openRedisStore(watched.url, { client: "ioredis" }), Error);
  assertMatch(
    refused.message,
    /^Cannot connect to the Sentinel 127.0.0.1:\d+: it wants a password of its own; pass in a client/,
  );
  assertEquals(refused.message.includes("sesame"), false);
});
