import { Redis } from "ioredis";
import type { RedisConnection, Reply } from "../connection/client.ts";
import { ReplyError } from "../connection/_reply_error.ts";
import { type Address, type Node, parseTarget } from "../connection/_address.ts";
import { type AddressMap, mapped } from "./_mapped.ts";
import { opened } from "./_opened.ts";
import type { Fleet } from "./detect.ts";

/** What is used of an ioredis client that was passed in. */
export interface IoRedisClient {
  readonly options: object;
  duplicate(overrides: object): unknown;
}

// Whoever uses the connection opens a new one when it is lost, has its own deadlines, and reads RESP 2. Each of the
// first four would by its default send a command again or keep it for later.
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
  // Undone, for a client that was passed in.
  keyPrefix: "",
  stringNumbers: false,
  enableAutoPipelining: false,
  monitor: false,
} as const;

// The deadlines of a client that was passed in, and a look at the server that may not be allowed.
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

/** Connects to where an ioredis client of the caller's connects to. That client itself is neither used nor closed. */
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

/** What is used of ioredis' clients of a cluster. */
export interface IoRedisCluster {
  readonly isCluster?: boolean;
  readonly startupNodes?: readonly (string | number | Partial<Node>)[];
  readonly options: { readonly redisOptions?: object; readonly natMap?: AddressMap } & SingleOptions;
}

/** What a client of ioredis is of that is of several servers; undefined for one of a single server. */
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
    // It would wait up to two seconds for the other end, which may be gone.
    client.stream?.destroy();
  };
  await opened(client.connect(), close, () => failure, signal).catch(rethrow);
  return {
    // Names in capitals keep it from turning replies into objects.
    send: ([name, ...args]) => (client.call(name!.toUpperCase(), args) as Promise<Reply>).catch(rethrow),
    open: (options) => start(client.duplicate(), options?.signal),
    close,
  };
}

function rethrow(error: unknown): never {
  if (!(error instanceof Error)) throw error;
  // Made anew, as the original carries the command's arguments: the password, after AUTH.
  if (error.name === "ReplyError") throw new ReplyError(error.message);
  throw error;
}
