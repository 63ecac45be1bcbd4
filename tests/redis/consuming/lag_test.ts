// Guarantee 29: info() counts the unread entries of a group although the server's own count is wrong.

import { assertEquals } from "@std/assert";
import { Counted, counted, groupOf, settled } from "../../../src/testing/_broker_bench.ts";
import { openBroker } from "../_bench.ts";
import { RedisServer } from "../_server.ts";

Deno.test("info() and idle() are right when the server's count of read entries is stale, as after two failovers", async () => {
  await using server = await RedisServer.start();
  await using broker = await openBroker(server.url, { events: [Counted] });
  for (let at = 0; at < 3_000; at += 500) await broker.publish(counted(500, at));
  await using _subscription = await broker.subscribe(Counted, () => {}, { group: "group", concurrency: 100 });
  await settled(broker, Counted);

  const [last] = /\d+-\d+/.exec(await server.cli("XREVRANGE", "events:Counted", "+", "-", "COUNT", "1"))!;
  await server.cli("XGROUP", "SETID", "events:Counted", "group", last, "ENTRIESREAD", "100");
  const { lag, lagIsExact } = await groupOf(broker, Counted);
  assertEquals({ lag, lagIsExact }, { lag: 0, lagIsExact: true });
  await broker.idle({ group: "group", signal: AbortSignal.timeout(5_000) });
});
