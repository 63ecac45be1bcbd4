import { slotOf } from "../../src/redis/connection/cluster/_slots.ts";
import { freePort } from "./_free_port.ts";
import { RedisServer } from "./_server.ts";

const SLOTS = 16_384;

/** A real cluster: masters that share the slots, each with or without a replica. */
export class RedisCluster implements AsyncDisposable {
  readonly masters: readonly RedisServer[];
  /** The replica of each master, in the same order; empty without replicas. */
  readonly replicas: readonly RedisServer[];

  private constructor(masters: readonly RedisServer[], replicas: readonly RedisServer[]) {
    this.masters = masters;
    this.replicas = replicas;
  }

  /**
   * Starts a cluster, and resolves once all nodes know all slots.
   *
   * @param options.masters The number of masters. @default {3}
   * @param options.replicas Whether each master has a replica. @default {false}
   * @param options.nodeTimeout After how many milliseconds a silent node counts as failed. @default {1_000}
   * @param options.args Further arguments of each node's redis-server.
   */
  static async start(
    { masters = 3, replicas = false, nodeTimeout = 1_000, args = () => [] }: {
      masters?: number;
      replicas?: boolean;
      nodeTimeout?: number;
      args?: () => readonly string[];
    } = {},
  ): Promise<RedisCluster> {
    const start = (count: number) => Promise.all(Array.from({ length: count }, () => startNode(nodeTimeout, args())));
    const cluster = new RedisCluster(await start(masters), await start(replicas ? masters : 0));
    try {
      await cluster.#join();
      return cluster;
    } catch (error) {
      await cluster[Symbol.asyncDispose]();
      throw error;
    }
  }

  get #nodes(): RedisServer[] {
    return [...this.masters, ...this.replicas];
  }

  async #join(): Promise<void> {
    const { masters, replicas } = this;
    for (const [nth, node] of masters.entries()) {
      const [first, end] = [nth, nth + 1].map((at) => Math.floor(SLOTS * at / masters.length));
      await node.cli("CLUSTER", "ADDSLOTSRANGE", String(first), String(end! - 1));
      await node.cli("CLUSTER", "SET-CONFIG-EPOCH", String(nth + 1));
    }
    for (const node of this.#nodes.slice(1)) {
      // MEET needs the bus port, unless that is the default one.
      const bus = (await node.cli("CONFIG", "GET", "cluster-port")).split("\n")[1]!;
      const id = await node.cli("CLUSTER", "MYID");
      let metAt = -Infinity;
      await eventually(async () => {
        if ((await masters[0]!.cli("CLUSTER", "NODES")).includes(id.trim())) return true;
        // A node gives up a handshake after the node timeout, so that another MEET is needed.
        if (performance.now() - metAt > 2_000) {
          metAt = performance.now();
          await masters[0]!.cli("CLUSTER", "MEET", "127.0.0.1", String(node.port), bus);
        }
        return false;
      });
    }
    await this.settled();
    for (const [nth, replica] of replicas.entries()) {
      const id = await masters[nth]!.cli("CLUSTER", "MYID");
      await eventually(async () => await replica.cli("CLUSTER", "REPLICATE", id) === "OK");
      await eventually(async () => /master_link_status:up/.test(await replica.cli("INFO", "replication")));
    }
    await this.settled();
  }

  /** Resolves once these nodes report that all slots are served, and know all nodes. */
  async settled(nodes: readonly RedisServer[] = this.#nodes): Promise<void> {
    for (const node of nodes) {
      await eventually(async () => {
        const info = await node.cli("CLUSTER", "INFO");
        return info.includes("cluster_state:ok") && info.includes(`cluster_known_nodes:${this.#nodes.length}`);
      });
    }
  }

  /** A URL that names all masters. */
  get url(): string {
    return `redis+cluster://${this.masters.map(({ port }) => `127.0.0.1:${port}`).join(",")}`;
  }

  /** The index of the master that had the stream's slot when the cluster was started. */
  indexOf(stream: string): number {
    const nth = this.masters.findIndex((_, at) => slotOf(stream) < Math.floor(SLOTS * (at + 1) / this.masters.length));
    return nth;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#nodes.map((node) => node[Symbol.asyncDispose]()));
  }
}

function startNode(nodeTimeout: number, args: readonly string[]): Promise<RedisServer> {
  const cluster = ["--cluster-enabled", "yes", "--cluster-port", String(freePort())];
  return RedisServer.start([...cluster, "--cluster-node-timeout", String(nodeTimeout), ...args]);
}

/** Polls the condition until it is true. An error counts as false. */
export async function eventually(condition: () => Promise<boolean>, timeout = 20_000): Promise<void> {
  let last: unknown;
  for (const deadline = performance.now() + timeout; performance.now() < deadline;) {
    if (await condition().catch((error) => (last = error, false))) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`Waited ${timeout} ms in vain for the servers`, { cause: last });
}
