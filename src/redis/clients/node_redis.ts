import { createClient, ErrorReply } from "redis";
import type { RedisConnection, Reply } from "../connection/client.ts";
import { ReplyError } from "../connection/_reply_error.ts";
import { type Address, type Node, parseTarget } from "../connection/_address.ts";
import { type AddressMap, mapped } from "./_mapped.ts";
import { opened } from "./_opened.ts";
import type { Fleet } from "./detect.ts";

/** The used members of a node-redis client. */
export interface NodeRedisClient {
  readonly options: object;
  duplicate(overrides: object): unknown;
}

// The package's own type has hundreds of commands, and differs with each option.
interface Client {
  on(type: "error", listener: (error: Error) => void): unknown;
  connect(): Promise<unknown>;
  sendCommand(command: readonly string[]): Promise<Reply>;
  destroy(): void;
}

// The store opens new connections itself, has its own deadlines, and reads RESP 2.
const SETTINGS = {
  RESP: 2,
  disableOfflineQueue: true,
  disableClientInfo: true,
  maintNotifications: "disabled",
  // The default is an AbortSignal.timeout per command, which halves the throughput and does not end a sent command.
  commandOptions: { timeout: undefined },
} as const;

// Turns off settings of the caller's client that send extra commands or change keys.
const DISABLED = {
  clientSideCache: undefined,
  emitInvalidate: false,
  pingInterval: undefined,
  keyPrefix: undefined,
} as const;

/** Connects to a server with node-redis (`npm:redis`). */
export function openNodeRedis(
  { host, port, tls, db, username, password }: Address,
  { signal }: { readonly signal?: AbortSignal } = {},
): Promise<RedisConnection> {
  const socket = { tls: tls !== undefined, ...tls };
  return openAs({ database: db, username, password, socket }, { host, port }, signal);
}

/** Connects to the server of the caller's node-redis client, which is neither used nor closed. */
export function adoptNodeRedis(
  client: NodeRedisClient,
  { signal }: { readonly signal?: AbortSignal } = {},
): Promise<RedisConnection> {
  const given = "socket" in client.options ? client.options.socket as object : {};
  const overrides = { ...SETTINGS, ...DISABLED };
  return start((socket) => client.duplicate({ ...overrides, socket: { ...given, ...socket } }) as Client, signal);
}

/** The used members of node-redis' clients for several servers. */
export interface NodeRedisFleet {
  readonly duplicate: (this: object) => unknown;
  readonly _options?: ClusterOptions;
  readonly _self?: object;
}

interface ClusterOptions {
  readonly rootNodes: readonly NodeOptions[];
  readonly defaults?: NodeOptions;
  readonly nodeAddressMap?: AddressMap;
}

interface SentinelOptions {
  readonly name: string;
  readonly sentinelRootNodes: readonly Node[];
  readonly nodeClientOptions?: NodeOptions;
  readonly sentinelClientOptions?: NodeOptions;
  readonly nodeAddressMap?: AddressMap;
}

type NodeOptions = Readonly<Record<string, unknown>> & { readonly url?: string; readonly socket?: object };

/** The servers of a node-redis client for a cluster or Sentinels; undefined for a client of one server. */
export function fleetOfNodeRedis(client: NodeRedisFleet): Fleet | undefined {
  const cluster = client._options;
  if (cluster !== undefined && "rootNodes" in cluster) return fleetOfCluster(cluster);
  if ("options" in client) return undefined;
  const sentinels = optionsOf(client);
  const { name, sentinelRootNodes, nodeClientOptions = {}, sentinelClientOptions = {}, nodeAddressMap } = sentinels;
  return {
    kind: "sentinel",
    nodes: sentinelRootNodes.map(({ host, port }) => ({ host, port })),
    name,
    open: (node, { sentinel, signal }) =>
      sentinel
        ? openAs(sentinelClientOptions, node, signal)
        : openAs(nodeClientOptions, mapped(node, nodeAddressMap), signal),
  };
}

function fleetOfCluster({ rootNodes, defaults = {}, nodeAddressMap }: ClusterOptions): Fleet {
  const [first = {}] = rootNodes;
  // User, password and TLS of the first URL apply to all nodes.
  const session: NodeOptions = first.url === undefined ? {} : sessionOf(first.url);
  const { url: _, ...options } = { ...session, ...first, ...defaults };
  const socket = { ...session.socket, ...first.socket, ...defaults.socket };
  const open: Fleet["open"] = (node, { signal }) =>
    openAs({ ...options, socket }, mapped(node, nodeAddressMap), signal);
  return { kind: "cluster", nodes: rootNodes.map(nodeOf), name: undefined, open };
}

function sessionOf(url: string): NodeOptions {
  const { username, password, tls } = parseTarget(url).session;
  return {
    ...(username && { username }),
    ...(password && { password }),
    socket: tls === undefined ? {} : { tls: true },
  };
}

function nodeOf({ url, socket = {} }: NodeOptions): Node {
  if (url !== undefined) return parseTarget(url).nodes[0]!;
  const { host = "127.0.0.1", port = 6379 } = socket as Partial<Node>;
  return { host, port };
}

// A Sentinel client keeps its options private, but its duplicate() passes them to the constructor. Here the constructor is
// replaced by one that records them.
function optionsOf(client: NodeRedisFleet): SentinelOptions {
  let options: SentinelOptions | undefined;
  class Recorder {
    constructor(given: SentinelOptions) {
      options = given;
    }
  }
  client.duplicate.call(Object.assign(Object.create(Recorder.prototype), { _self: client._self }));
  if (options?.sentinelRootNodes === undefined) {
    throw new TypeError(
      "Cannot tell where this client of npm:redis connects to: it has no readable options; give its URL instead",
    );
  }
  return options;
}

function openAs(options: NodeOptions, { host, port }: Node, signal: AbortSignal | undefined): Promise<RedisConnection> {
  const all = { ...options, ...SETTINGS, ...DISABLED };
  const place = { ...options.socket, host, port };
  return start((socket) => duplicate({ ...all, socket: { ...place, ...socket } }), signal);
}

let template: { duplicate(overrides: object): unknown } | undefined;

// createClient() builds a class with hundreds of commands, which takes 20 ms or more. Duplicates share that class.
function duplicate(options: object): Client {
  template ??= createClient({ ...SETTINGS, ...DISABLED } as object);
  return template.duplicate(options) as Client;
}

async function start(make: (socket: object) => Client, signal: AbortSignal | undefined): Promise<RedisConnection> {
  // Without the signal, a connecting socket would stay open for seconds after destroy().
  const client = make({ reconnectStrategy: false, socketTimeout: undefined, signal });
  let failure: unknown;
  client.on("error", (error) => {
    failure ??= error;
    // Reconnecting is off, so each error ends the client. It is destroyed a microtask later, after the commands in flight
    // have rejected with the error.
    queueMicrotask(() => client.destroy());
  });
  const rethrow = (error: unknown): never => {
    if (error instanceof Error && isReply(error)) throw new ReplyError(error.message);
    throw failure ?? error;
  };
  await opened(client.connect(), () => client.destroy(), () => failure, signal).catch(rethrow);
  return {
    send: (command) => client.sendCommand(command).catch(rethrow),
    open: (options) => start(make, options?.signal),
    close: () => client.destroy(),
  };
}

function isReply(error: Error): boolean {
  // The caller's client may come from another copy of the package, which has another ErrorReply class.
  return error instanceof ErrorReply || /^(SimpleError|BlobError|ErrorReply)$/.test(error.constructor.name);
}
