// Guarantees 15, 30: primaries that are killed or hand over under load, and replicas that take over.

import { assert, assertEquals, assertLess } from "@std/assert";
import { KINDS, LABELS } from "../_bench.ts";
import { RedisCluster } from "../_cluster.ts";
import { assertFlow, Flow, PREFETCH, upTo } from "./_cluster_flow.ts";
import { becomes, isInSync, pairOf, promote } from "./_operating.ts";

let cluster: RedisCluster;
Deno.test.beforeAll(async () => void (cluster = await RedisCluster.start({ replicas: true })));
Deno.test.afterAll(async () => await cluster[Symbol.asyncDispose]());

for (const kind of KINDS) {
  Deno.test(`publish() and subscribe() by ${LABELS[kind]} lose and repeat nothing when a primary hands over to its replica`, async () => {
    await using flow = await Flow.start(cluster, 0, { kind });
    const [, replica] = await pairOf(cluster, 0);
    await promote(replica);
    await flow.continues();
    const result = await flow.finish();
    assertFlow(result, { lost: false });
    assertEquals(result.handled, upTo(result.published), "handled once, in order");
    assertEquals(result.heard, upTo(result.published), "heard once, in order");
    assertEquals(result.unwanted, []);
  });
}

// The tests start nodes again, which run until the last test.
const sanitize = { sanitizeOps: false, sanitizeResources: false };

Deno.test(
  "publish() loses nothing when it waits for replicas and a primary of the cluster is killed",
  sanitize,
  async () => {
    await using flow = await Flow.start(cluster, 1, { redis: { durability: { replicas: 1, timeout: 500 } } });
    await cluster.masters[1]!.kill();
    await becomes(cluster.replicas[1]!, "master");
    // Until the killed node is back, there is no replica to wait for.
    await cluster.masters[1]!.restart();
    await flow.continues();
    const result = await flow.finish();
    assertFlow(result, { lost: false });
    // Events whose acknowledgement had not reached the replica are redelivered.
    assertLess(result.handled.length - result.published, 2 * PREFETCH);
  },
);

for (const kind of KINDS) {
  Deno.test(
    `publish() and subscribe() by ${LABELS[kind]} go on by themselves when a primary of the cluster is killed`,
    sanitize,
    async () => {
      await using flow = await Flow.start(cluster, 2, { kind });
      const [primary] = await pairOf(cluster, 2);
      await primary.kill();
      await flow.continues();
      const result = await flow.finish();
      assertFlow(result, { lost: true });
      assert(flow.tries.publisher.length > 0 && flow.tries.consumer.length > 0, "both report reconnecting");
      await primary.restart();
      await becomes(primary, "slave");
      await isInSync(primary);
    },
  );
}
