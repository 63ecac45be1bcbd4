// Guarantees 15, 30: primaries that die, hand over or stand still under load, and their replicas that take over.

import { assert, assertEquals, assertLess } from "@std/assert";
import { KINDS, LABELS } from "./_bench.ts";
import { eventually, RedisCluster } from "./_cluster.ts";
import { assertFlow, becomes, Flow, PREFETCH, upTo } from "./_cluster_flow.ts";
import type { RedisServer } from "./_server.ts";

let cluster: RedisCluster;
Deno.test.beforeAll(async () => void (cluster = await RedisCluster.start({ replicas: true })));
Deno.test.afterAll(async () => await cluster[Symbol.asyncDispose]());

/** Who is the primary of that part of the slots now, and who its replica. */
async function pairOf(nth: number): Promise<readonly [primary: RedisServer, replica: RedisServer]> {
  const [one, other] = [cluster.masters[nth]!, cluster.replicas[nth]!];
  return (await one.cli("ROLE")).startsWith("master") ? [one, other] : [other, one];
}

/** Makes a replica the primary. A server may refuse the command, or time out and stay a replica: it is asked again. */
async function promote(replica: RedisServer): Promise<void> {
  let asked = -Infinity;
  await eventually(async () => {
    if ((await replica.cli("ROLE")).startsWith("master")) return true;
    // A manual failover gives up after 5 s by itself.
    if (performance.now() - asked > 6_000) {
      asked = performance.now();
      await replica.cli("CLUSTER", "FAILOVER");
    }
    return false;
  }, 60_000);
}

for (const kind of KINDS) {
  Deno.test(`RedisStore on a cluster: a primary that hands over to its replica under load loses and repeats nothing: ${LABELS[kind]}`, async () => {
    await using flow = await Flow.start(cluster, 0, { kind });
    const [, replica] = await pairOf(0);
    await promote(replica);
    await flow.continues();
    const result = await flow.finish();
    assertFlow(result, { lost: false });
    assertEquals(result.handled, upTo(result.published), "handled once, in order");
    assertEquals(result.heard, upTo(result.published), "heard once, in order");
    assertEquals(result.mishaps, []);
  });
}

// The nodes outlive the tests, in which some of them are started again.
const sanitize = { sanitizeOps: false, sanitizeResources: false };

Deno.test(
  "RedisStore on a cluster: a primary that is killed under load loses nothing when replicas are waited for",
  sanitize,
  async () => {
    await using flow = await Flow.start(cluster, 1, { redis: { durability: { replicas: 1, timeout: 500 } } });
    await cluster.masters[1]!.kill();
    await becomes(cluster.replicas[1]!, "master");
    // There is no replica to wait for until it is back.
    await cluster.masters[1]!.restart();
    await flow.continues();
    const result = await flow.finish();
    assertFlow(result, { lost: false });
    // What was handled, and acknowledged without a replica knowing, comes again.
    assertLess(result.handled.length - result.published, 2 * PREFETCH);
  },
);

for (const kind of KINDS) {
  Deno.test(
    `RedisStore on a cluster: publishing and handling go on by themselves when a primary is killed: ${LABELS[kind]}`,
    sanitize,
    async () => {
      await using flow = await Flow.start(cluster, 2, { kind });
      const [primary] = await pairOf(2);
      await primary.kill();
      await flow.continues();
      const result = await flow.finish();
      assertFlow(result, { lost: true });
      assert(flow.tries.publisher.length > 0 && flow.tries.consumer.length > 0, "they are told of reconnecting");
      await primary.restart();
      await becomes(primary, "slave");
      await eventually(async () => /master_link_status:up/.test(await primary.cli("INFO", "replication")));
    },
  );
}
