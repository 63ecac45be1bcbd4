// A master that stands still, which no connection tells of.

import { assertEquals, assertLess } from "@std/assert";
import { eventually } from "./_cluster.ts";
import { idsOn, Load } from "./_failover.ts";
import { WatchedServers } from "./_sentinel.ts";

Deno.test("RedisStore behind Sentinels leaves a master that stands still, and nothing of it comes back with it", async () => {
  await using watched = await WatchedServers.start();
  await using load = await Load.start(watched.url);
  const [before] = watched.servers;
  const frozen = performance.now();
  before!.pause();
  const after = await watched.promoted(before!);
  const promoted = performance.now() - frozen;
  const took = await load.resumed(frozen);
  const handled = load.handled.distinct;
  // What had no answer is there in its sockets, and it does it now, before it learns that it is no master any more.
  before!.resume();
  await watched.follows(before!, after);
  await load.resumed(performance.now());
  const lost = await load.verdict();

  // A command has 5 s and a grace of a quarter. Then it is tried again after at most 5 s, which takes 5.25 s at most while
  // the Sentinels still name the one that stands still.
  assertLess(took, Math.max(promoted, 5_250) + 11_500);
  assertLess(handled, load.handled.distinct, "the subscription goes on");
  const there = await idsOn(after);
  assertEquals(there.length, load.answered.length - lost.length);
  await eventually(async () => (await idsOn(before!)).length === there.length);
  assertEquals(await idsOn(before!), there);
  assertLess(lost.length, 500);
});
