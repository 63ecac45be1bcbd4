import { StoreError } from "../store/mod.ts";
import { type Node, nodeText } from "./_address.ts";
import type { TimedConnection } from "./_connection.ts";
import { connectError } from "./_errors.ts";
import type { OpenNode } from "./_cluster.ts";

/** What it takes to find a master. */
export interface Watch {
  /** What the Sentinels call it. */
  readonly name: string;
  readonly sentinels: readonly Node[];
  /** Opens a connection to a Sentinel. */
  readonly openSentinel: OpenNode;
  /** Opens a connection to a server. */
  readonly openNode: OpenNode;
}

/**
 * Connects to the server that the Sentinels say is the master, anew each time: after a failover it is another one.
 *
 * @throws {StoreError} `"transient"` if no Sentinel answers, or what they name is no master (any more).
 */
export async function openMaster(
  { name, sentinels, openSentinel, openNode }: Watch,
  options: { readonly signal?: AbortSignal | undefined },
): Promise<TimedConnection> {
  const failures: string[] = [];
  for (const sentinel of sentinels) {
    options.signal?.throwIfAborted();
    try {
      const master = await ask(await openSentinel(sentinel, options), name);
      if (master === undefined) failures.push(`${nodeText(sentinel)} knows no master "${name}"`);
      else return await assertMaster(await openNode(master, options), master);
    } catch (error) {
      if (options.signal?.aborted) throw options.signal.reason;
      // What refuses us will do so again.
      if (!(error instanceof StoreError) && isFinal(error, sentinel)) throw error;
      failures.push(error instanceof Error ? error.message : String(error));
    }
  }
  throw new StoreError("transient", `Cannot find the master "${name}" by its Sentinels now: ${failures.join("; ")}`);
}

async function ask(sentinel: TimedConnection, name: string): Promise<Node | undefined> {
  try {
    const reply = await sentinel.send(["SENTINEL", "GET-MASTER-ADDR-BY-NAME", name]);
    if (!Array.isArray(reply)) return undefined;
    return { host: String(reply[0]), port: Number(reply[1]) };
  } finally {
    sentinel.close();
  }
}

// A master that was lost comes back as one for a moment, and so may what a Sentinel says that was away itself.
async function assertMaster(connection: TimedConnection, node: Node): Promise<TimedConnection> {
  try {
    const role = /^role:(\w+)/m.exec(String(await connection.send(["INFO", "replication"])))?.[1];
    if (role === "master") return connection;
    throw new StoreError("transient", `${nodeText(node)} is not a master (any more), but a ${role}`);
  } catch (error) {
    connection.close();
    throw error;
  }
}

function isFinal(error: unknown, sentinel: Node): boolean {
  return !(connectError(nodeText(sentinel), error) instanceof StoreError);
}
