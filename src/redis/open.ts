import { openInTime, type TimedConnection } from "./_connection.ts";
import { connectError, withoutCredentials } from "./_errors.ts";
import { type ClientKind, DEFAULT_KIND, detectClient, loadAdapter } from "./clients/detect.ts";
import { RedisStore } from "./redis_store.ts";

const OLDEST = [7, 0] as const;

/** How to open a store on Redis. */
export interface OpenRedisOptions {
  /** Which client connects to a URL. @default {`@db/redis` on Deno, node-redis elsewhere} */
  readonly client?: ClientKind;
  /** Ends the connecting, by rejecting with its reason. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Opens a store on the Redis of a URL, or on the one that a client is connected to. That client itself is neither used
 * nor closed.
 *
 * @throws {TypeError} If it is neither a URL nor a client that the store can work with.
 * @throws {Error} If the server cannot be reached, refuses us, or is too old: at once, saying what to do.
 */
export async function openRedisStore(
  urlOrClient: string | URL | object,
  { client = DEFAULT_KIND, signal }: OpenRedisOptions = {},
): Promise<RedisStore> {
  const url = typeof urlOrClient === "string" || urlOrClient instanceof URL ? parseUrl(urlOrClient) : undefined;
  const kind = url === undefined ? detectClient(urlOrClient) : client;
  const adapter = await loadAdapter(kind);
  const where = url ?? `the Redis of the ${kind} client`;
  let connection: TimedConnection | undefined;
  try {
    connection = await openInTime(
      (options) => url === undefined ? adapter.adopt(urlOrClient as object, options) : adapter.open(url, options),
      { signal },
    );
    await checkVersion(connection);
    return new RedisStore(connection, typeof where === "string" ? where : withoutCredentials(where));
  } catch (error) {
    connection?.close();
    if (signal?.aborted) throw signal.reason;
    throw connectError(where, error);
  }
}

function parseUrl(text: string | URL): URL {
  const url = URL.parse(String(text));
  if (url !== null && (url.protocol === "redis:" || url.protocol === "rediss:") && url.hostname !== "") return url;
  // Credentials may stand anywhere in what could not be parsed.
  throw new TypeError(
    `Cannot connect to this Redis URL: give one such as "redis://127.0.0.1:6379" or "rediss://user:password@host:6380/0"`,
  );
}

/** Older servers lack what the scripts rely on, and would fail in the middle of the work instead of here. */
async function checkVersion(connection: TimedConnection): Promise<void> {
  const info = String(await connection.send(["INFO", "server"]));
  const version = /^redis_version:(\S+)/m.exec(info)?.[1];
  const [major = 0, minor = 0] = (version ?? "").split(".").map(Number);
  if (major > OLDEST[0] || major === OLDEST[0] && minor >= OLDEST[1]) return;
  throw new TypeError(
    `Cannot use a Redis of version ${version ?? "unknown"}: ${
      OLDEST.join(".")
    } is needed, or Valkey 7.2; upgrade the server`,
  );
}
