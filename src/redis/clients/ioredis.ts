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

// The store opens new connections itself, has its own deadlines, and reads RESP 2. With the defaults of the first six
// options, the client would reconnect, queue commands or send them again.
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
  // Undo settings of the caller's client that change commands or replies.
  keyPrefix: "",
  stringNumbers: false,
  enableAutoPipelining: false,
  monitor: false,
} as const;

// Turns off the deadlines of the caller's client, and the client's INFO command, which the user may have no permission for.
const DISABLED = {
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
  return start(client.duplicate({ ...SETTINGS, ...DISABLED }) as Redis, signal);
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
  const direct = { sentinels: null, path: undefined } as const;
  const all: object = { ...options, ...direct, ...SETTINGS, ...DISABLED, host, port };
  return start(new Redis(all), signal);
}

async function start(client: Redis, signal: AbortSignal | undefined): Promise<RedisConnection> {
  let failure: unknown;
  client.on("error", (error) => failure ??= error);
  const close = () => {
    if (client.status !== "end") client.disconnect();
    // After disconnect() alone, the socket stays open for up to two seconds until the server closes its side.
    client.stream?.destroy();
  };
  await opened(client.connect(), close, () => failure, signal).catch(rethrow);
  return {
    // ioredis turns some replies into objects if the command is in lower case.
    send: ([name, ...args]) => (client.call(name!.toUpperCase(), args) as Promise<Reply>).catch(rethrow),
    open: (options) => start(client.duplicate(), options?.signal),
    close,
  };
}

function rethrow(error: unknown): never {
  if (!(error instanceof Error)) throw error;
  // A new error, because the original has the arguments of the command, such as the password of AUTH.
  if (error.name === "ReplyError") throw new ReplyError(error.message);
  throw error;
}
