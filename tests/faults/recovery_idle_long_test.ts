import { assertEquals, assertLess } from "@std/assert";
import { until } from "../../src/testing/_broker_bench.ts";
import { Process } from "../processes/_processes.ts";
import { commands, connections, cpuSeconds } from "../redis/consuming/_cost.ts";
import { RedisServer } from "../redis/_server.ts";
import type { IdleRole } from "./_recovery_child.ts";

const SECONDS = 15;
const STREAMS_PER_READ = 48;
const permissions = ["--allow-net=127.0.0.1", "--allow-env", "--allow-sys"];

Deno.test("subscribe() costs its process and the server little when it is idle", async () => {
  const rows: Record<string, number>[] = [];
  for (const count of [1, 20, 200]) {
    await using server = await RedisServer.start();
    const role: IdleRole = { name: "idle", count, seconds: SECONDS };
    const module = new URL("./_recovery_child.ts", import.meta.url);
    await using client = new Process(server.url.href, permissions, role, module);
    await client.wait("ready");
    // The start-up of the subscriptions is not measured.
    const reads = Math.ceil(count / STREAMS_PER_READ);
    await until(async () => await server.blockedClients() === reads, "all subscriptions wait");
    const [before, busyBefore] = [await commands(server), await cpuSeconds(server)];
    const open = await connections(server);
    await client.tell();
    const [measured] = await client.wait("measured");
    const [after, busyAfter] = [await commands(server), await cpuSeconds(server)];
    rows.push({
      subscriptions: count,
      "commands/s sent": (after.sent - before.sent) / SECONDS,
      "with scripts' own": (after.ran - before.ran) / SECONDS,
      "client % of a core": Number(measured!.message),
      "server % of a core": (busyAfter - busyBefore) / SECONDS * 100,
      connections: open,
    });
    assertEquals((await client.ended).code, 0);
  }
  console.table(rows);
  for (const row of rows) {
    const { subscriptions: count = 0, connections: open = 0 } = row;
    // Measured: 0.7, 7.1 and 41 commands, and 4.4, 79 and 642 with those of scripts: one claim script for each stream every
    // 7.5 seconds, a renewal every ten, and blocking reads of 48 streams each.
    assertLess(row["commands/s sent"]!, 1 + 0.45 * count, `with ${count} subscriptions`);
    assertLess(row["with scripts' own"]!, 4 + 5 * count, `with ${count} subscriptions`);
    assertEquals(open, 1 + Math.ceil(count / STREAMS_PER_READ), `with ${count} subscriptions`);
    // Measured: 0.8, 1.5 and 2.9; the rest is for a busy machine.
    assertLess(row["client % of a core"]! + row["server % of a core"]!, 5 + count / 20);
  }
});
