import type { Address, Node } from "../connection/_address.ts";
import type { RedisConnection } from "../connection/client.ts";
import { load } from "../../store/_load.ts";

/** The supported client packages. */
export type ClientKind = "@db/redis" | "node-redis" | "ioredis";

interface OpenOptions {
  readonly signal?: AbortSignal;
}

/** How to connect with one client. */
export interface ClientAdapter {
  /** Connects to a server. */
  open(address: Address, options?: OpenOptions): Promise<RedisConnection>;
  /** Connects to the server of a client object, which is neither used nor closed. */
  adopt(client: object, options?: OpenOptions): Promise<RedisConnection>;
  /** The servers of a client object for a cluster or Sentinels; undefined for a client of a single server. */
  fleetOf(client: object): Fleet | undefined;
}

/** Several servers, as read from a client object. */
export interface Fleet {
  readonly kind: "cluster" | "sentinel";
  /** Known nodes of the cluster, or the Sentinels. */
  readonly nodes: readonly Node[];
  /** The master's name in the Sentinels' configuration. */
  readonly name: string | undefined;
  /** Connects to a node, or with `sentinel` to a Sentinel, with the settings of the client object. */
  open(node: Node, options: OpenOptions & { readonly sentinel?: boolean }): Promise<RedisConnection>;
}

/** Loads an adapter, and with it the client package. */
export async function loadAdapter(kind: ClientKind): Promise<ClientAdapter> {
  switch (kind) {
    case "@db/redis": {
      const { openDbRedis, adoptDbRedis } = await load(() => import("./db_redis.ts"));
      return { open: openDbRedis, adopt: adoptDbRedis, fleetOf: () => undefined };
    }
    case "node-redis": {
      const { openNodeRedis, adoptNodeRedis, fleetOfNodeRedis } = await load(() => import("./node_redis.ts"));
      return {
        open: openNodeRedis,
        adopt: (client, options) => adoptNodeRedis(client as never, options),
        fleetOf: (client) => fleetOfNodeRedis(client as never),
      };
    }
    case "ioredis": {
      const { openIoRedis, adoptIoRedis, fleetOfIoRedis } = await load(() => import("./ioredis.ts"));
      return {
        open: openIoRedis,
        adopt: (client, options) => adoptIoRedis(client as never, options),
        fleetOf: (client) => fleetOfIoRedis(client as never),
      };
    }
  }
}

/** The client package for a URL if the caller chose none. */
export const DEFAULT_KIND: ClientKind = "Deno" in globalThis ? "@db/redis" : "node-redis";

/**
 * Detects the package of a client object by its members, since its class may come from another copy of the package.
 *
 * @throws {TypeError} If the object is not a supported client.
 */
export function detectClient(client: unknown): ClientKind {
  if (typeof client === "object" && client !== null) {
    const { call, sendCommand, duplicate, options, isOpen, isConnected } = client as Record<string, unknown>;
    const duplicates = typeof duplicate === "function";
    if (duplicates && typeof call === "function" && typeof options === "object") return "ioredis";
    if (duplicates && typeof sendCommand === "function" && typeof isOpen === "boolean") return "node-redis";
    if (!duplicates && typeof sendCommand === "function" && typeof isConnected === "boolean") return "@db/redis";
  }
  throw new TypeError(
    "Cannot use this as a Redis client: give a URL, or a client of npm:redis (createClient, createCluster, " +
      "createSentinel), npm:ioredis (new Redis, new Cluster) or jsr:@db/redis (connect)",
  );
}
