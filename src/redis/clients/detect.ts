import type { RedisConnection } from "../client.ts";

/** The clients that the store can work with. */
export type ClientKind = "@db/redis" | "node-redis" | "ioredis";

interface OpenOptions {
  readonly signal?: AbortSignal;
}

/** How to connect with one client. */
export interface ClientAdapter {
  /** Connects to a URL. */
  open(url: URL, options?: OpenOptions): Promise<RedisConnection>;
  /** Connects to where a client that was passed in connects to; that one is neither used nor closed. */
  adopt(client: object, options?: OpenOptions): Promise<RedisConnection>;
}

/** Loads the adapter of a client, and thereby the client. */
export async function loadAdapter(kind: ClientKind): Promise<ClientAdapter> {
  switch (kind) {
    case "@db/redis": {
      const { openDbRedis, adoptDbRedis } = await import("./db_redis.ts");
      return { open: openDbRedis, adopt: adoptDbRedis };
    }
    case "node-redis": {
      const { openNodeRedis, adoptNodeRedis } = await import("./node_redis.ts");
      return { open: openNodeRedis, adopt: (client, options) => adoptNodeRedis(client as never, options) };
    }
    case "ioredis": {
      const { openIoRedis, adoptIoRedis } = await import("./ioredis.ts");
      return { open: openIoRedis, adopt: (client, options) => adoptIoRedis(client as never, options) };
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
    const { call, sendCommand, duplicate, options, isCluster, isOpen, isConnected } = client as Record<string, unknown>;
    const single = typeof options === "object" && options !== null && typeof duplicate === "function";
    if (single && typeof call === "function" && isCluster !== true) return "ioredis";
    if (single && typeof sendCommand === "function" && typeof isOpen === "boolean" && !hasNodes(options)) {
      return "node-redis";
    }
    if (!single && typeof sendCommand === "function" && typeof isConnected === "boolean") return "@db/redis";
  }
  throw new TypeError(
    "Cannot use this as a Redis client: give a URL, or a client of npm:redis (createClient), npm:ioredis (new Redis) " +
      "or jsr:@db/redis (connect) for one server; clients of a Redis Cluster are not supported",
  );
}

// A cluster or a set of Sentinels of node-redis looks like a client, but wants to know the key of each command.
function hasNodes(options: object): boolean {
  return "rootNodes" in options || "sentinelRootNodes" in options;
}
