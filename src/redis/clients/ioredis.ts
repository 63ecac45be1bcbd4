import { Redis } from "ioredis";
import type { RedisConnection, Reply } from "../client.ts";
import { ReplyError } from "../_errors.ts";
import { parseAddress } from "./_address.ts";
import { opened } from "./_opened.ts";

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

/** Connects to a URL with ioredis. */
export function openIoRedis(url: URL, { signal }: { readonly signal?: AbortSignal } = {}): Promise<RedisConnection> {
  const { tls, ...address } = parseAddress(url);
  const options: object = { ...address, ...(tls && { tls: {} }), ...SETTINGS, enableReadyCheck: false };
  return start(new Redis(options), signal);
}

/** Connects to where an ioredis client of the caller's connects to. That client itself is neither used nor closed. */
export function adoptIoRedis(
  client: IoRedisClient,
  { signal }: { readonly signal?: AbortSignal } = {},
): Promise<RedisConnection> {
  // Behind Sentinel the ready check is what finds out that a master no longer is one.
  const enableReadyCheck = "sentinels" in client.options && client.options.sentinels != null;
  const timeouts = { commandTimeout: undefined, socketTimeout: undefined, blockingTimeout: undefined };
  return start(client.duplicate({ ...SETTINGS, ...timeouts, enableReadyCheck }) as Redis, signal);
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
