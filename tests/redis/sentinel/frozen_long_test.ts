// A frozen master, whose connections stay open.

import { assertEquals, assertLess } from "@std/assert";
import { eventually } from "../_cluster.ts";
import { idsOn, Load } from "./_failover.ts";
import { WatchedServers } from "../_sentinel.ts";

Deno.test("publish() and subscribe() go on at the promoted replica when the master is frozen, and when it continues", async () => {
  await using watched = await WatchedServers.start();
  await using load = await Load.start(watched.url);
  const [before] = watched.servers;
  const frozen = performance.now();
  before!.pause();
  const after = await watched.promoted(before!);
  const promoted = performance.now() - frozen;
  const took = await load.resumed(frozen);
  const handled = load.handled.distinct;
  // It now runs the commands in its sockets, before it learns that it is no longer the master.
  before!.resume();
  await watched.follows(before!, after);
  await load.resumed(performance.now());
  const lost = await load.verdict();

  // A command times out after 5.25 s. Then the broker connects again after at most 5 s, which takes up to 5.25 s while the
  // Sentinels still name the frozen master.
  assertLess(took, Math.max(promoted, 5_250) + 11_500);
  assertLess(handled, load.handled.distinct, "the subscription goes on");
  const stored = await idsOn(after);
  assertEquals(stored.length, load.answered.length - lost.length);
  await eventually(async () => (await idsOn(before!)).length === stored.length);
  assertEquals(await idsOn(before!), stored);
  assertLess(lost.length, 500);
});
