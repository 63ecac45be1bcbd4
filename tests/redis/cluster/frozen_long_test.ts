// Guarantee 30: primaries that are frozen under load, and continue when a replica has replaced them.

import { assertEquals } from "@std/assert";
import { RedisCluster } from "../_cluster.ts";
import { assertFlow, Flow } from "./_cluster_flow.ts";
import { becomes } from "./_operating.ts";

Deno.test("publish() and subscribe() go on at the replica when a primary is frozen, and when it continues", async () => {
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
  // Only events of publishes that resolved before the freeze may be lost.
  assertEquals(gone.filter((n) => n >= before), []);
});

for (const timeout of [100, 1_000]) {
  Deno.test(`publish() loses nothing when it waits up to ${timeout} ms for replicas and a primary is frozen`, async () => {
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
