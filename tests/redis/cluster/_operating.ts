import { assert } from "@std/assert";
import { eventually, type RedisCluster } from "../_cluster.ts";
import type { RedisServer } from "../_server.ts";

/** The current primary and replica of the nth part of the slots. Without a replica, the primary is both. */
export async function pairOf(
  { masters, replicas }: RedisCluster,
  nth: number,
): Promise<readonly [primary: RedisServer, replica: RedisServer]> {
  const [one, other] = [masters[nth]!, replicas[nth] ?? masters[nth]!];
  return (await roleOf(one)) === "master" ? [one, other] : [other, one];
}

async function roleOf(node: RedisServer): Promise<string> {
  return (await node.cli("ROLE")).split("\n")[0]!;
}

/** Resolves once the node has the role. */
export function becomes(node: RedisServer, role: "master" | "slave"): Promise<void> {
  return eventually(async () => await roleOf(node) === role);
}

/** Resolves once the replica has all data of its primary. */
export function isInSync(replica: RedisServer): Promise<void> {
  return eventually(async () => /master_link_status:up/.test(await replica.cli("INFO", "replication")));
}

/** Promotes a replica. A server may refuse that or time out, so that the command is sent again. */
export async function promote(replica: RedisServer): Promise<void> {
  let sentAt = -Infinity;
  await eventually(async () => {
    if (await roleOf(replica) === "master") return true;
    // A manual failover times out after 5 s.
    if (performance.now() - sentAt > 6_000) {
      sentAt = performance.now();
      await replica.cli("CLUSTER", "FAILOVER");
    }
    return false;
  }, 60_000);
}

/**
 * Moves a slot between two primaries. Awaits `some` when a part of the keys has moved, and `all` when all keys have.
 *
 * @param primaries All primaries, which are told about it.
 */
export async function moveSlot(
  primaries: readonly RedisServer[],
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
    // A first try may have copied a key before it timed out.
    const reply = await from.cli("MIGRATE", "127.0.0.1", String(to.port), "", "0", "5000", "REPLACE", "KEYS", ...some);
    // After a timeout it is tried again; a node that is no primary any more never moves a key.
    assert(/^(OK|NOKEY|IOERR)/.test(reply), `Cannot migrate keys of slot ${slot}: ${reply}`);
    await (some === keys ? between.all : between.some)?.();
  }
  for (const node of [to, from, ...primaries]) {
    await eventually(async () => await node.cli("CLUSTER", "SETSLOT", slot, "NODE", target) === "OK");
  }
}
