import { Redis } from "ioredis";
import type { RedisConnection, Reply } from "../connection/client.ts";
import { ReplyError } from "../connection/_reply_error.ts";
import { type Address, type Node, parseTarget } from "../connection/_address.ts";
import { type AddressMap, mapped } from "./_mapped.ts";
import { opened } from "./_opened.ts";
import type { Fleet } from "./detect.ts";

/** The used members of an ioredis client. */
export interface IoRedisClient {
  readonly options: object;
  duplicate(overrides: object): unknown;
}

// The store opens a new connection when one is lost, has its own deadlines, and reads RESP 2. The defaults of the first
// four options would send a command again or queue it.
const SETTINGS = {
  retryStrategy: null,
  maxRetriesPerRequest: 0,
  autoResendUnfulfilledCommands: false,
  enableOfflineQueue: false,
  reconnectOnError: null,
  sentinelRetryStrategy: null,
  lazyConnect: true,
  disableClientInfo: true,
  protocol: 2,
  // Override settings of the caller's client.
  keyPrefix: "",
  stringNumbers: false,
  enableAutoPipelining: false,
  monitor: false,
} as const;

// Deadlines of the caller's client, and its INFO command, for which the user may have no permission.
const FOREIGN = {
  commandTimeout: undefined,
  socketTimeout: undefined,
  blockingTimeout: undefined,
  enableReadyCheck: false,
} as const;

/** Connects to a server with ioredis. */
export function openIoRedis(
  { host, port, tls, db, username, password }: Address,
  { signal }: { readonly signal?: AbortSignal } = {},
): Promise<RedisConnection> {
  return openAs({ db, username, password, ...(tls && { tls }) }, { host, port }, signal);
}

/** Connects to the server of the caller's ioredis client, which is neither used nor closed. */
export function adoptIoRedis(
  client: IoRedisClient,
  { signal }: { readonly signal?: AbortSignal } = {},
): Promise<RedisConnection> {
  return start(client.duplicate({ ...SETTINGS, ...FOREIGN }) as Redis, signal);
}

interface SingleOptions {
  readonly sentinels?: readonly Partial<Node>[] | null;
  readonly name?: string;
  readonly natMap?: AddressMap;
  readonly tls?: object;
  readonly sentinelUsername?: string;
  readonly sentinelPassword?: string;
  readonly sentinelTLS?: object;
  readonly enableTLSForSentinelMode?: boolean;
}

/** The used members of ioredis' cluster client. */
export interface IoRedisCluster {
  readonly isCluster?: boolean;
  readonly startupNodes?: readonly (string | number | Partial<Node>)[];
  readonly options: { readonly redisOptions?: object; readonly natMap?: AddressMap } & SingleOptions;
}

/** The servers of an ioredis client for a cluster or Sentinels; undefined for a client of one server. */
export function fleetOfIoRedis({ isCluster, startupNodes = [], options }: IoRedisCluster): Fleet | undefined {
  const { natMap, sentinels, name } = options;
  if (isCluster === true) {
    const open: Fleet["open"] = (node, { signal }) => openAs(options.redisOptions ?? {}, mapped(node, natMap), signal);
    return { kind: "cluster", nodes: startupNodes.map(nodeOf), name: undefined, open };
  }
  if (sentinels == null) return undefined;
  const { tls, sentinelTLS, sentinelUsername, sentinelPassword, enableTLSForSentinelMode } = options;
  const watch = {
    ...(sentinelTLS && { tls: sentinelTLS }),
    ...(sentinelUsername !== undefined && { username: sentinelUsername }),
    ...(sentinelPassword !== undefined && { password: sentinelPassword }),
  };
  const data = { ...options, tls: enableTLSForSentinelMode === false ? undefined : tls };
  const open: Fleet["open"] = (node, { sentinel, signal }) =>
    sentinel ? openAs(watch, node, signal) : openAs(data, mapped(node, natMap), signal);
  const nodes = sentinels.map(({ host = "127.0.0.1", port = 26_379 }) => ({ host, port }));
  return { kind: "sentinel", nodes, name, open };
}

function nodeOf(node: string | number | Partial<Node>): Node {
  if (typeof node === "number") return { host: "127.0.0.1", port: node };
  if (typeof node === "string") return parseTarget(node.includes("://") ? node : `redis://${node}`).nodes[0]!;
  return { host: node.host ?? "127.0.0.1", port: Number(node.port ?? 6379) };
}

function openAs(options: object, { host, port }: Node, signal: AbortSignal | undefined): Promise<RedisConnection> {
  const none = { sentinels: null, path: undefined } as const;
  const place: object = { ...options, ...none, ...SETTINGS, ...FOREIGN, host, port };
  return start(new Redis(place), signal);
}

async function start(client: Redis, signal: AbortSignal | undefined): Promise<RedisConnection> {
  let failure: unknown;
  client.on("error", (error) => failure ??= error);
  const close = () => {
    if (client.status !== "end") client.disconnect();
    // disconnect() alone waits up to two seconds for the server to close its side.
    client.stream?.destroy();
  };
  await opened(client.connect(), close, () => failure, signal).catch(rethrow);
  return {
    // ioredis turns replies of commands in lower case into objects.
    send: ([name, ...args]) => (client.call(name!.toUpperCase(), args) as Promise<Reply>).catch(rethrow),
    open: (options) => start(client.duplicate(), options?.signal),
    close,
  };
}

function rethrow(error: unknown): never {
  if (!(error instanceof Error)) throw error;
  // A new error, since the original carries the arguments of the command, such as the password of AUTH.
  if (error.name === "ReplyError") throw new ReplyError(error.message);
  throw error;
}
