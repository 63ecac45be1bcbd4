// Masters that end or stand still, and the replica that Sentinels put in their place.

import { assertEquals, assertLess } from "@std/assert";
import { eventually } from "./_cluster.ts";
import { idsOn, Load } from "./_failover.ts";
import { WatchedServers } from "./_sentinel.ts";

/** After how long a server that does not answer counts as lost, in ms. */
const DOWN_AFTER = 1_000;

Deno.test("RedisStore behind Sentinels goes on at the promoted replica when the master is killed", async () => {
  await using watched = await WatchedServers.start({ downAfter: DOWN_AFTER });
  await using load = await Load.start(watched.url);
  const [before] = watched.servers;
  const killed = performance.now();
  await before!.kill();
  const after = await watched.promoted(before!);
  const promoted = performance.now() - killed;
  const took = await load.resumed(killed);
  const lost = await load.verdict();

  console.log(
    `promoted after ${promoted | 0} ms, publishing after ${
      took | 0
    } ms; ${lost.length} of ${load.answered.length} lost`,
  );
  // Connecting is tried again after at most 5 s, and the replica is asked then.
  assertLess(took - promoted, 7_500);
  assertEquals((await idsOn(after)).length, load.answered.length - lost.length);
  // A replica that keeps up lacks what was answered in the last moment at most.
  assertLess(lost.length, 500);
});

Deno.test("RedisStore behind Sentinels loses nothing that was answered when it waits for replicas", async () => {
  await using watched = await WatchedServers.start({ downAfter: DOWN_AFTER });
  await using load = await Load.start(watched.url, { durability: { replicas: 1 } });
  const [before] = watched.servers;
  await before!.kill();
  const after = await watched.promoted(before!);
  const answered = load.answered.length;
  // There is no replica any more, until the master of before comes back as one: nothing is answered till then.
  await before!.restart();
  await watched.follows(before!, after);
  await load.resumed(performance.now());
  const lost = await load.verdict();

  assertEquals(lost, []);
  console.log(`${load.answered.length} answered, ${answered} of them before`);
});

Deno.test("RedisStore behind Sentinels leaves a master that stands still, and nothing of it comes back with it", async () => {
  await using watched = await WatchedServers.start({ downAfter: DOWN_AFTER });
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

  console.log(
    `promoted after ${promoted | 0} ms, publishing after ${
      took | 0
    } ms; ${lost.length} of ${load.answered.length} lost`,
  );
  // A command has 5 s and a grace of a quarter; then one more attempt at the latest.
  assertLess(took, Math.max(promoted, 5_250) + 4_000);
  assertLess(handled, load.handled.distinct, "the subscription goes on");
  const there = await idsOn(after);
  assertEquals(there.length, load.answered.length - lost.length);
  await eventually(async () => (await idsOn(before!)).length === there.length);
  assertEquals(await idsOn(before!), there);
  assertLess(lost.length, 500);
});
