import type { Address, Node } from "../connection/_address.ts";
import type { RedisConnection } from "../connection/client.ts";

/** The clients that the store can work with. */
export type ClientKind = "@db/redis" | "node-redis" | "ioredis";

interface OpenOptions {
  readonly signal?: AbortSignal;
}

/** How to connect with one client. */
export interface ClientAdapter {
  /** Connects to a server. */
  open(address: Address, options?: OpenOptions): Promise<RedisConnection>;
  /** Connects to where a client that was passed in connects to; that one is neither used nor closed. */
  adopt(client: object, options?: OpenOptions): Promise<RedisConnection>;
  /** What a client is of that was passed in and is of more than one server; otherwise undefined. */
  fleetOf(client: object): Fleet | undefined;
}

/** Several servers, as a client of theirs knows them. */
export interface Fleet {
  readonly kind: "cluster" | "sentinel";
  /** Nodes of the cluster that know the others, or Sentinels. */
  readonly nodes: readonly Node[];
  /** What the Sentinels call the master. */
  readonly name: string | undefined;
  /** Connects to one of them as the client does, or with `sentinel` to a Sentinel. */
  open(node: Node, options: OpenOptions & { readonly sentinel?: boolean }): Promise<RedisConnection>;
}

/** Loads the adapter of a client, and thereby the client. */
export async function loadAdapter(kind: ClientKind): Promise<ClientAdapter> {
  switch (kind) {
    case "@db/redis": {
      const { openDbRedis, adoptDbRedis } = await import("./db_redis.ts");
      return { open: openDbRedis, adopt: adoptDbRedis, fleetOf: () => undefined };
    }
    case "node-redis": {
      const { openNodeRedis, adoptNodeRedis, fleetOfNodeRedis } = await import("./node_redis.ts");
      return {
        open: openNodeRedis,
        adopt: (client, options) => adoptNodeRedis(client as never, options),
        fleetOf: (client) => fleetOfNodeRedis(client as never),
      };
    }
    case "ioredis": {
      const { openIoRedis, adoptIoRedis, fleetOfIoRedis } = await import("./ioredis.ts");
      return {
        open: openIoRedis,
        adopt: (client, options) => adoptIoRedis(client as never, options),
        fleetOf: (client) => fleetOfIoRedis(client as never),
      };
    }
  }
}

/** Which client is used for a URL where none was asked for. */
export const DEFAULT_KIND: ClientKind = "Deno" in globalThis ? "@db/redis" : "node-redis";

/**
 * Which client an object is, by what it can do: the classes may come from another copy of the package.
 *
 * @throws {TypeError} If it is none that can be used.
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
