import { createClient, ErrorReply } from "redis";
import type { RedisConnection, Reply } from "../client.ts";
import { ReplyError } from "../_errors.ts";
import { parseAddress } from "./_address.ts";
import { opened } from "./_opened.ts";

/** What is used of a node-redis client that was passed in. */
export interface NodeRedisClient {
  readonly options: object;
  duplicate(overrides: object): unknown;
}

// The package's own type stands for thousands of commands, and differs with every option.
interface Client {
  on(type: "error", listener: (error: Error) => void): unknown;
  connect(): Promise<unknown>;
  sendCommand(command: readonly string[]): Promise<Reply>;
  destroy(): void;
}

// Whoever uses the connection opens a new one when it is lost, has its own deadlines, and reads RESP 2.
const SETTINGS = {
  RESP: 2,
  disableOfflineQueue: true,
  disableClientInfo: true,
  maintNotifications: "disabled",
  // By default each command makes an AbortSignal.timeout, which halves the throughput and ends no command that was sent.
  commandOptions: { timeout: undefined },
} as const;

/** Connects to a URL with node-redis (`npm:redis`). */
export function openNodeRedis(url: URL, { signal }: { readonly signal?: AbortSignal } = {}): Promise<RedisConnection> {
  const { host, port, tls, db, ...credentials } = parseAddress(url);
  const options = { ...SETTINGS, database: db, ...credentials };
  return start((socket) => createClient({ ...options, socket: { host, port, tls, ...socket } } as object), signal);
}

/** Connects to where a node-redis client of the caller's connects to. That client itself is neither used nor closed. */
export function adoptNodeRedis(
  client: NodeRedisClient,
  { signal }: { readonly signal?: AbortSignal } = {},
): Promise<RedisConnection> {
  const given = "socket" in client.options ? client.options.socket as object : {};
  const overrides = { ...SETTINGS, clientSideCache: undefined, emitInvalidate: false, pingInterval: undefined };
  return start((socket) => client.duplicate({ ...overrides, socket: { ...given, ...socket } }) as Client, signal);
}

async function start(make: (socket: object) => Client, signal: AbortSignal | undefined): Promise<RedisConnection> {
  // Without the signal, a socket that is still connecting would stay open for seconds after the client was destroyed.
  const client = make({ reconnectStrategy: false, socketTimeout: undefined, signal });
  let failure: unknown;
  client.on("error", (error) => {
    failure ??= error;
    // Without reconnecting every error is the end; a microtask on, what is under way has been told the reason.
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
  // The client that was passed in may come from another copy of the package, with a class of its own.
  return error instanceof ErrorReply || /^(SimpleError|BlobError|ErrorReply)$/.test(error.constructor.name);
}
