import { checkClientOption, checkRedisOptions, type RedisOptions } from "../redis_options.ts";
import { type Address, type Node, nodeText, parseTarget, sessionOf, type Target } from "./connection/_address.ts";
import { Cluster } from "./connection/cluster/_cluster.ts";
import { openInTime, type TimedConnection } from "./connection/_connection.ts";
import { connectError } from "./connection/_errors.ts";
import { openMaster, type Watch } from "./connection/sentinel/_sentinel.ts";
import { checkServer } from "./connection/_start_up.ts";
import { SingleServer } from "./connection/_single_server.ts";
import type { Topology } from "./connection/_topology.ts";
import { WatchedServer } from "./connection/sentinel/_watched_server.ts";
import type { RedisConnection } from "./connection/client.ts";
import { type ClientKind, DEFAULT_KIND, detectClient, loadAdapter } from "./clients/detect.ts";
import { StoreError } from "../store/mod.ts";
import { RedisStore } from "./redis_store.ts";

/** Options of {@linkcode openRedisStore}. */
export interface OpenRedisOptions {
  /** The package that connects to a URL; not with a client object. @default {`@db/redis` on Deno, node-redis elsewhere} */
  readonly client?: ClientKind;
  /** Aborts connecting, which then rejects with the reason. */
  readonly signal?: AbortSignal | undefined;
  /** How to use the Redis. */
  readonly redis?: RedisOptions | undefined;
}

interface Options {
  readonly signal?: AbortSignal | undefined;
}

/** The servers to connect to, and how. */
interface Place extends Pick<Target, "kind" | "nodes" | "name"> {
  /** The address for error messages, without credentials. */
  readonly where: string;
  /** Opens a connection to a node. If `nodes` is empty, opens one to the server of the client object. */
  open(node: Node, options: Options & { readonly sentinel?: boolean }): Promise<RedisConnection>;
}

/**
 * Opens a store on the Redis of a URL or of a client object. A client object gives only its settings: it sends no commands
 * and is never closed.
 *
 * @throws {TypeError} If `urlOrClient` is neither a URL nor a supported client, an option is malformed, or the server is
 * too old.
 * @throws {Error} If the server cannot be reached or refuses the connection. Rejects at once, and the message says what to
 * do.
 */
export async function openRedisStore(
  urlOrClient: string | URL | object,
  { client, signal, redis }: OpenRedisOptions = {},
): Promise<RedisStore> {
  const isUrl = typeof urlOrClient === "string" || urlOrClient instanceof URL;
  checkClientOption(client, isUrl);
  const options = checkRedisOptions(redis);
  const place = isUrl
    ? await placeOfUrl(String(urlOrClient), client ?? DEFAULT_KIND, options)
    : await placeOfClient(urlOrClient, options);
  let first: First | undefined;
  try {
    first = await openFirst(place, { signal });
    const { warnings, cluster } = await checkServer(first.connection, options);
    const topology = await topologyOf(place, first, cluster);
    return new RedisStore(topology, { durability: options.durability, warnings });
  } catch (error) {
    first?.connection.close();
    if (signal?.aborted) throw signal.reason;
    throw connectError(place.where, error);
  }
}

async function placeOfUrl(url: string, client: ClientKind, options: RedisOptions): Promise<Place> {
  const { kind, nodes, name, session } = parseTarget(url);
  if (options.tls !== undefined && session.tls === undefined) {
    throw new TypeError(
      "Cannot use redis.tls with redis://: that URL is for a connection without TLS; write rediss://, or leave redis.tls out",
    );
  }
  const full = sessionOf({
    ...session,
    username: options.username ?? session.username,
    password: options.password ?? session.password,
    tls: session.tls && { ...options.tls },
  });
  const adapter = await loadAdapter(client);
  const [scheme, path] = [full.tls ? "rediss" : "redis", full.db === 0 ? "" : `/${full.db}`];
  const fleet = kind === "single" ? "" : `+${kind}`;
  return {
    kind,
    nodes,
    name,
    where: `${scheme}${fleet}://${nodes.map(nodeText).join(",")}${name === undefined ? "" : `/${name}`}${path}`,
    // The credentials and the database are for the master only: Sentinels have their own users, and no databases.
    open: (node, { signal, sentinel }) => {
      const credentials = sentinel ? { username: undefined, password: undefined, db: 0 } : {};
      const address: Address = { ...full, ...credentials, ...node };
      return adapter.open(address, signal && { signal });
    },
  };
}

async function placeOfClient(client: object, options: RedisOptions): Promise<Place> {
  const given = (["username", "password", "tls"] as const).find((name) => options[name] !== undefined);
  if (given !== undefined) {
    throw new TypeError(
      `Cannot use redis.${given} with a client object: the client has its own settings; leave redis.${given} out`,
    );
  }
  const kind = detectClient(client);
  const adapter = await loadAdapter(kind);
  const fleet = adapter.fleetOf(client);
  if (fleet !== undefined) return { ...fleet, where: `the Redis of the ${kind} client` };
  const open: Place["open"] = (_node, { signal }) => adapter.adopt(client, signal && { signal });
  return { kind: "single", nodes: [], name: undefined, where: `the Redis of the ${kind} client`, open };
}

/** The first connection, and its server. */
interface First {
  readonly connection: TimedConnection;
  readonly node: Node;
}

async function openFirst(place: Place, options: Options): Promise<First> {
  if (place.kind === "sentinel") return await openMaster(watchOf(place), options);
  let failure: unknown;
  // The adapter of a client object knows its only server, and ignores the node.
  const ignored = { host: "", port: 0 };
  // Any node of a cluster knows the other nodes.
  for (const node of place.nodes.length > 0 ? place.nodes : [ignored]) {
    try {
      return { node, connection: await openNode(place, node, options) };
    } catch (error) {
      options.signal?.throwIfAborted();
      // A final error, such as a wrong password, is the same on every node.
      if (!(connectError(place.where, error) instanceof StoreError)) throw error;
      failure = error;
    }
  }
  throw failure;
}

function openNode(place: Place, node: Node, options: Options, sentinel = false): Promise<TimedConnection> {
  const address = place.kind === "single" ? place.where : nodeText(node);
  return openInTime((inTime) => place.open(node, { ...inTime, sentinel }), { ...options, address });
}

function watchOf(place: Place): Watch {
  return {
    name: place.name!,
    sentinels: place.nodes,
    openSentinel: (node, options) => openNode(place, node, options, true),
    openNode: (node, options) => openNode(place, node, options),
  };
}

async function topologyOf(place: Place, first: First, isCluster: boolean): Promise<Topology> {
  if (place.kind === "sentinel") return new WatchedServer(watchOf(place), place.where, first);
  if (!isCluster && place.kind === "cluster") {
    throw new TypeError(
      "Cannot use this Redis as a cluster: its cluster-enabled is off; give the URL or the client of a single server",
    );
  }
  if (!isCluster) return new SingleServer(first.connection, place.where);
  if (place.nodes.length === 0) {
    throw new TypeError(
      "Cannot use this client for a Redis Cluster: it is a client for a single server; give one for clusters, as " +
        "made by createCluster of npm:redis or new Cluster of npm:ioredis, or a URL",
    );
  }
  return await Cluster.open((node, options) => openNode(place, node, options), place.nodes, first);
}
