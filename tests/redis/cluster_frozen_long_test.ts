// Guarantee 30: primaries that stand still under load and go on when others have taken their place.

import { assertEquals } from "@std/assert";
import { RedisCluster } from "./_cluster.ts";
import { assertFlow, becomes, Flow } from "./_cluster_flow.ts";

Deno.test("RedisStore on a cluster: a primary that stands still is left, and what it does afterwards does no harm", async () => {
  await using cluster = await RedisCluster.start({ replicas: true });
  await using flow = await Flow.start(cluster, 0);
  cluster.masters[0]!.pause();
  await becomes(cluster.replicas[0]!, "master");
  await flow.continues();
  const before = flow.answered;
  cluster.masters[0]!.resume();
  await becomes(cluster.masters[0]!, "slave");
  await flow.continues();
  const result = await flow.finish();
  const gone = assertFlow(result, { lost: true });
  // Only what it had answered before it stood still.
  assertEquals(gone.filter((n) => n >= before), []);
});

for (const timeout of [100, 1_000]) {
  Deno.test(`RedisStore on a cluster: nothing is lost when replicas are waited for up to ${timeout} ms and a primary stands still`, async () => {
    await using cluster = await RedisCluster.start({ replicas: true });
    await using flow = await Flow.start(cluster, 0, { redis: { durability: { replicas: 1, timeout } } });
    cluster.masters[0]!.pause();
    await becomes(cluster.replicas[0]!, "master");
    cluster.masters[0]!.resume();
    await becomes(cluster.masters[0]!, "slave");
    await flow.continues(40_000);
    assertFlow(await flow.finish(), { lost: false });
  });
}
