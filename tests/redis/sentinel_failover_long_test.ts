// Masters that end, and the replica that Sentinels put in their place.

import { assertEquals, assertLess } from "@std/assert";
import { idsOn, Load } from "./_failover.ts";
import { WatchedServers } from "./_sentinel.ts";

Deno.test("RedisStore behind Sentinels goes on at the promoted replica when the master is killed", async () => {
  await using watched = await WatchedServers.start();
  await using load = await Load.start(watched.url);
  const [before] = watched.servers;
  const killed = performance.now();
  await before!.kill();
  const after = await watched.promoted(before!);
  const promoted = performance.now() - killed;
  const took = await load.resumed(killed);
  const lost = await load.verdict();

  // Connecting is tried again after at most 5 s, and the replica is asked then.
  assertLess(took - promoted, 7_500);
  assertEquals((await idsOn(after)).length, load.answered.length - lost.length);
  // A replica that keeps up lacks what was answered in the last moment at most.
  assertLess(lost.length, 500);
});

Deno.test("RedisStore behind Sentinels loses nothing that was answered when it waits for replicas", async () => {
  await using watched = await WatchedServers.start();
  await using load = await Load.start(watched.url, { durability: { replicas: 1 } });
  const [before] = watched.servers;
  await before!.kill();
  const after = await watched.promoted(before!);
  // There is no replica any more, until the master of before comes back as one: nothing is answered till then.
  await before!.restart();
  await watched.follows(before!, after);
  await load.resumed(performance.now());
  const lost = await load.verdict();

  assertEquals(lost, []);
});
