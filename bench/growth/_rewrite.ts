import { openRaw } from "../systems/_raw_clients.ts";

/** Waits until the server has rewritten its append-only file, if filling a stream started a rewrite, which is not measured. */
export async function rewritten(redis: string): Promise<void> {
  const connection = await openRaw("node-redis", redis);
  while (/^aof_rewrite_(in_progress|scheduled):1/m.test(await connection.send(["INFO", "persistence"]))) {
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  connection.close();
}
