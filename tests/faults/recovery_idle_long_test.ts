import { assertEquals, assertLess } from "@std/assert";
import { Process } from "../processes/_processes.ts";
import { commands, connections, cpuSeconds } from "../redis/_cost.ts";
import { RedisServer } from "../redis/_server.ts";
import type { IdleRole } from "./_recovery_child.ts";

const SECONDS = 15;
const permissions = ["--allow-net=127.0.0.1", "--allow-env", "--allow-sys"];

Deno.test("what idle subscriptions cost, the client's process and the server", async () => {
  const rows: Record<string, number>[] = [];
  for (const count of [1, 20, 200]) {
    await using server = await RedisServer.start();
    const role: IdleRole = { name: "idle", count, seconds: SECONDS };
    const module = new URL("./_recovery_child.ts", import.meta.url);
    await using client = new Process(server.url.href, permissions, role, module);
    await client.wait("ready");
    // Past the first looks, what there is repeats itself.
    await new Promise((resolve) => setTimeout(resolve, 3_000));
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
    // Measured: 0.7, 7.1 and 41 sent, 4.4, 79 and 642 with what scripts ran. A look at each stream every 7.5 seconds, a
    // renewal every ten, and blocking reads of 48 streams each.
    assertLess(row["commands/s sent"]!, 1 + 0.45 * count, `with ${count} subscriptions`);
    assertLess(row["with scripts' own"]!, 4 + 5 * count, `with ${count} subscriptions`);
    assertEquals(open, 1 + Math.ceil(count / 48), `with ${count} subscriptions`);
    // Measured: 0.8, 1.5 and 2.9; the rest is what a busy machine adds.
    assertLess(row["client % of a core"]! + row["server % of a core"]!, 5 + count / 20);
  }
});
