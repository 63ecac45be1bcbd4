// Guarantees 30, 33: slots that move between nodes, and nodes that forget the scripts, while events flow.

import { assertEquals } from "@std/assert";
import { slotOf } from "../../../src/redis/connection/cluster/_slots.ts";
import { until } from "../../../src/testing/_broker_bench.ts";
import { KINDS, LABELS } from "../_bench.ts";
import { RedisCluster } from "../_cluster.ts";
import { Flow, upTo } from "./_cluster_flow.ts";
import { moveSlot } from "./_operating.ts";
import type { RedisServer } from "../_server.ts";

let cluster: RedisCluster;
Deno.test.beforeAll(async () => void (cluster = await RedisCluster.start()));
Deno.test.afterAll(async () => await cluster[Symbol.asyncDispose]());

for (const kind of KINDS) {
  Deno.test(`publish() and subscribe() by ${LABELS[kind]} lose, repeat and reorder nothing when a slot moves to another node and back`, async () => {
    await using flow = await Flow.start(cluster, 0, { kind });
    const slot = String(slotOf(flow.stream));
    const [home, away] = cluster.masters as [RedisServer, RedisServer];
    for (const [from, to] of [[home, away], [away, home]] as const) {
      const { publisher, consumer } = flow.tries;
      const before = [publisher.length, consumer.length];
      await moveSlot(cluster.masters, slot, from, to, {
        some: () => until(() => publisher.length > before[0]! + 2, "the publisher gets TRYAGAIN"),
        all: async () => {
          const { answered } = flow;
          await until(() => flow.answered > answered + 100, "the publisher is redirected by ASK");
          await until(() => consumer.length > before[1]!, "the consumer gets TRYAGAIN");
        },
      });
      await flow.continues();
      assertEquals(await from.cli("CLUSTER", "COUNTKEYSINSLOT", slot), "0");
    }
    const { published, stored, handled, heard, unwanted } = await flow.finish();
    assertEquals(stored, upTo(published));
    assertEquals(handled, upTo(published), "handled once, in order");
    assertEquals(heard, upTo(published), "heard once, in order");
    assertEquals(unwanted, []);
  });
}

Deno.test("publish() and subscribe() follow a slot when it moves in one step", async () => {
  await using flow = await Flow.start(cluster, 1);
  const slot = String(slotOf(flow.stream));
  await moveSlot(cluster.masters, slot, cluster.masters[1]!, cluster.masters[2]!);
  await flow.continues();
  const { published, stored, handled, heard, unwanted } = await flow.finish();
  assertEquals([stored, handled, heard], [upTo(published), upTo(published), upTo(published)]);
  assertEquals(unwanted, []);
});

Deno.test("publish() and subscribe() load the scripts again when a node of the cluster forgets them", async () => {
  await using flow = await Flow.start(cluster, 2);
  for (let times = 0; times < 5; times++) {
    await cluster.masters[2]!.cli("SCRIPT", "FLUSH");
    await flow.continues();
  }
  const { published, stored, handled, heard, unwanted } = await flow.finish();
  assertEquals([stored, handled, heard], [upTo(published), upTo(published), upTo(published)]);
  assertEquals(unwanted, []);
  assertEquals(flow.tries.publisher.length, 0);
});
