// Masters that are killed, and replicas that Sentinels promote.

import { assertEquals, assertLess } from "@std/assert";
import { idsOn, Load } from "./_failover.ts";
import { WatchedServers } from "../_sentinel.ts";

Deno.test("publish() and subscribe() go on at the promoted replica when the master is killed", async () => {
  await using watched = await WatchedServers.start();
  await using load = await Load.start(watched.url);
  const [before] = watched.servers;
  const killed = performance.now();
  await before!.kill();
  const after = await watched.promoted(before!);
  const promoted = performance.now() - killed;
  const took = await load.resumed(killed);
  const lost = await load.verdict();

  // The brokers connect again after at most 5 s, and then to the replica.
  assertLess(took - promoted, 7_500);
  assertEquals((await idsOn(after)).length, load.answered.length - lost.length);
  // Replication is asynchronous: the replica lacks only the last events.
  assertLess(lost.length, 500);
});

Deno.test("publish() loses nothing when it waits for replicas and the master is killed", async () => {
  await using watched = await WatchedServers.start();
  await using load = await Load.start(watched.url, { durability: { replicas: 1 } });
  const [before] = watched.servers;
  await before!.kill();
  const after = await watched.promoted(before!);
  // No publish resolves until the former master is back as a replica.
  await before!.restart();
  await watched.follows(before!, after);
  await load.resumed(performance.now());
  const lost = await load.verdict();

  assertEquals(lost, []);
});
