import type { RedisServer } from "../_server.ts";

// Commands that no script runs: the statistics do not tell whether a script ran the others.
const SENT = /^(evalsha|eval|xreadgroup|xread|ping|hello|client\|(id|unblock))$/;

/** How many commands the server received, and how many it ran, including those of scripts. */
export async function commands(server: RedisServer): Promise<{ sent: number; ran: number }> {
  const stats = await server.cli("INFO", "commandstats");
  const calls = [...stats.matchAll(/^cmdstat_([^:]+):calls=(\d+)/gm)].map(([, name, calls]) =>
    [name!, Number(calls)] as const
  );
  const sum = (among: (name: string) => boolean) =>
    calls.filter(([name]) => among(name)).reduce((sum, [, calls]) => sum + calls, 0);
  return { sent: sum((name) => SENT.test(name)), ran: sum((name) => name !== "info") };
}

/** The processor time that the server has used, in seconds. */
export async function cpuSeconds(server: RedisServer): Promise<number> {
  const stats = await server.cli("INFO", "cpu");
  return [...stats.matchAll(/^used_cpu_(?:sys|user):([\d.]+)/gm)].reduce(
    (sum, [, seconds]) => sum + Number(seconds),
    0,
  );
}

/** How many connections the server has, except that of redis-cli. */
export async function connections(server: RedisServer): Promise<number> {
  return (await server.cli("CLIENT", "LIST")).split("\n").length - 1;
}
