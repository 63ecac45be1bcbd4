import { connect, ErrorReplyError, type Redis, type RedisConnectOptions } from "@db/redis";
import type { RedisConnection, Reply } from "../connection/client.ts";
import { ReplyError } from "../connection/_reply_error.ts";
import type { Address } from "../connection/_address.ts";
import { opened } from "./_opened.ts";

/**
 * Connects to a server with `@db/redis`.
 *
 * @throws {TypeError} For a client certificate or a server name, which the package does not support.
 */
export async function openDbRedis(
  { host, port, tls, ...session }: Address,
  { signal }: { readonly signal?: AbortSignal } = {},
): Promise<RedisConnection> {
  if (tls?.cert !== undefined || tls?.key !== undefined || tls?.servername !== undefined) {
    throw new TypeError(
      "Cannot connect to Redis by @db/redis with redis.tls.cert, key or servername: that package does not support " +
        "them; use @tidings/broker/node-redis or @tidings/broker/ioredis",
    );
  }
  const caCerts = tls?.ca === undefined ? undefined : [tls.ca].flat();
  const place = { hostname: host, port, tls: tls !== undefined, ...(caCerts && { caCerts }) };
  return await start(place, sessionCommands(session), signal);
}

/** Connects to the server of the caller's `@db/redis` client, which is neither used nor closed. */
export async function adoptDbRedis(
  client: unknown,
  { signal }: { readonly signal?: AbortSignal } = {},
): Promise<RedisConnection> {
  // The client has no public property for its address, and no duplicate().
  const { hostname, port, options } = (client as PrivateParts).client?.connection ?? {};
  if (hostname === undefined || options === undefined) {
    throw new TypeError(
      "Cannot tell where this client of @db/redis connects to: it has no readable options; give its URL instead",
    );
  }
  const { tls = false, caCerts, ...session } = options;
  const place = { hostname, port: port ?? 6379, tls, ...(caCerts && { caCerts }) };
  return await start(place, sessionCommands(session), signal);
}

interface PrivateParts {
  readonly client?: { readonly connection?: Partial<RedisConnectOptions> & { options?: Partial<RedisConnectOptions> } };
}

type Session = { readonly [K in "username" | "password" | "db"]?: RedisConnectOptions[K] | undefined };

// AUTH and SELECT are sent by this adapter, because the client would continue connecting after the signal aborted.
function sessionCommands({ username, password, db }: Session): [string, string[]][] {
  const commands: [string, string[]][] = [];
  if (password !== undefined) commands.push(["AUTH", username ? [username, password] : [password]]);
  if (db) commands.push(["SELECT", [String(db)]]);
  return commands;
}

async function start(
  place: RedisConnectOptions,
  session: readonly [string, string[]][],
  signal: AbortSignal | undefined,
): Promise<RedisConnection> {
  let client!: Redis;
  const send = (name: string, args: string[]) => (client.sendCommand(name, args) as Promise<Reply>).catch(rethrow);
  const connecting = (async () => {
    // By default the client would reconnect and send the commands in flight again.
    client = await connect({ ...place, maxRetryCount: 0, noDelay: true, ...(signal && { signal: () => signal }) });
    client.addEventListener("error", ({ detail: { error } }) => {
      // Otherwise the client would continue on a connection whose replies no longer match its commands.
      if (!(error instanceof ErrorReplyError)) client.close();
    });
    for (const [name, args] of session) await send(name, args);
  })();
  const close = () => client?.close();
  await opened(connecting, close, () => undefined, signal);
  return {
    send: ([name, ...args]) => send(name!, args),
    open: (options) => start(place, session, options?.signal),
    close,
  };
}

function rethrow(error: unknown): never {
  throw error instanceof ErrorReplyError ? new ReplyError(error.message) : error;
}
