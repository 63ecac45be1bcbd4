// Guarantee 37: health() of a broker whose server refuses writes, is killed or frozen, and comes back.

import { assert, assertEquals, assertLess, assertStringIncludes } from "@std/assert";
import { type BrokerHealth, defineEvent } from "@tidings/broker";
import { until } from "../../../src/testing/_broker_bench.ts";
import type { ClientKind } from "../../../src/redis/clients/detect.ts";
import { byAllClients } from "../../faults/_concurrently.ts";
import { openBroker } from "../_bench.ts";
import { RedisServer } from "../_server.ts";

class Counted extends defineEvent("Counted")<{ n: number }> {}

/** How long health() may take while the server does not reply, in milliseconds: 20, and time for a busy machine. */
const AT_ONCE = 500;

async function observe(kind: ClientKind): Promise<void> {
  await using server = await RedisServer.start();
  await using broker = await openBroker(server.url, { events: [Counted] }, kind);
  await broker.subscribe(Counted, () => {}, { group: "group" });
  const becomes = async (state: BrokerHealth["store"]["state"]): Promise<string> => {
    await until(async () => (await broker.health()).store.state === state, `the store is ${state}`);
    return (await broker.health()).problems.join("\n");
  };
  assert((await broker.health()).ready);

  await server.cli("CONFIG", "SET", "maxmemory", "1");
  assertStringIncludes(await becomes("refusing"), "maxmemory");
  await server.cli("CONFIG", "SET", "maxmemory", "0");
  await becomes("connected");

  await server.cli("CONFIG", "SET", "min-replicas-to-write", "1");
  assertStringIncludes(await becomes("refusing"), "NOREPLICAS");
  await server.cli("CONFIG", "SET", "min-replicas-to-write", "0");
  await becomes("connected");

  await server.cli("REPLICAOF", "127.0.0.1", "1");
  assertStringIncludes(await becomes("refusing"), "READONLY");
  await server.cli("REPLICAOF", "NO", "ONE");
  await becomes("connected");

  // A directory with the name of the snapshot makes saving it fail.
  await server.cli("CONFIG", "SET", "save", "3600 1000000");
  await Deno.mkdir(`${server.folder}/dump.rdb`);
  await server.cli("BGSAVE");
  assertStringIncludes(await becomes("refusing"), "MISCONF");
  await Deno.remove(`${server.folder}/dump.rdb`);
  await server.cli("BGSAVE");
  await becomes("connected");
  assertEquals(await server.cli("EXISTS", "{events:Counted}:producer:none"), "0");

  server.pause();
  await becomes("unreachable");
  const start = performance.now();
  assertEquals((await broker.health()).ready, false);
  assertLess(performance.now() - start, AT_ONCE);
  server.resume();
  await becomes("connected");

  await server.kill();
  assertStringIncludes(await becomes("unreachable"), "The store cannot be reached since");
  await server.restart();
  await becomes("connected");
  await until(async () => (await broker.health()).ready, "the broker is ready");
}

// The clients mostly wait for lost connections, and so run concurrently.
Deno.test("health() says why and since when, by any client, when a server refuses writes or cannot be reached", async () => {
  await byAllClients(observe);
});
