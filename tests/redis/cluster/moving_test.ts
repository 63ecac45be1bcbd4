// Guarantees 30, 33: slots that move between nodes, and nodes that forget the scripts, while events flow.

import { assert, assertEquals } from "@std/assert";
import { slotOf } from "../../../src/redis/connection/cluster/_slots.ts";
import { until } from "../../../src/testing/_broker_bench.ts";
import { KINDS, LABELS } from "../_bench.ts";
import { eventually, RedisCluster } from "../_cluster.ts";
import { Flow, upTo } from "./_cluster_flow.ts";
import type { RedisServer } from "../_server.ts";

let cluster: RedisCluster;
Deno.test.beforeAll(async () => void (cluster = await RedisCluster.start()));
Deno.test.afterAll(async () => await cluster[Symbol.asyncDispose]());

/** Moves a slot. Awaits `some` when a part of the keys has moved, and `all` when all keys have. */
async function move(
  slot: string,
  from: RedisServer,
  to: RedisServer,
  between: { readonly some?: () => Promise<unknown>; readonly all?: () => Promise<unknown> } = {},
): Promise<void> {
  const [source, target] = [await from.cli("CLUSTER", "MYID"), await to.cli("CLUSTER", "MYID")];
  await to.cli("CLUSTER", "SETSLOT", slot, "IMPORTING", source);
  await from.cli("CLUSTER", "SETSLOT", slot, "MIGRATING", target);
  for (let first = true;; first = false) {
    const keys = (await from.cli("CLUSTER", "GETKEYSINSLOT", slot, "100")).split("\n").filter((key) => key !== "");
    if (keys.length === 0) break;
    // First the publisher's key alone, so that the keys of its script are on two nodes.
    const some = first && between.some ? keys.filter((key) => key.includes("}:producer:")) : keys;
    assert(some.length > 0, `No publisher has a key among ${keys}`);
    await from.cli("MIGRATE", "127.0.0.1", String(to.port), "", "0", "5000", "KEYS", ...some);
    await (some === keys ? between.all : between.some)?.();
  }
  for (const node of [to, from, ...cluster.masters]) {
    await eventually(async () => await node.cli("CLUSTER", "SETSLOT", slot, "NODE", target) === "OK");
  }
}

for (const kind of KINDS) {
  Deno.test(`publish() and subscribe() by ${LABELS[kind]} lose, repeat and reorder nothing when a slot moves to another node and back`, async () => {
    await using flow = await Flow.start(cluster, 0, { kind });
    const slot = String(slotOf(flow.stream));
    const [home, away] = cluster.masters as [RedisServer, RedisServer];
    for (const [from, to] of [[home, away], [away, home]] as const) {
      const { publisher, consumer } = flow.tries;
      const before = [publisher.length, consumer.length];
      await move(slot, from, to, {
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
  await move(slot, cluster.masters[1]!, cluster.masters[2]!);
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
