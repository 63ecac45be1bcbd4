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
  duplicate(): object;
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
  const socket = { host, port, tls, reconnectStrategy: false } as const;
  const options: object = { ...SETTINGS, socket, database: db, ...credentials };
  return start(createClient(options), signal);
}

/** Connects to where a node-redis client of the caller's connects to. That client itself is neither used nor closed. */
export function adoptNodeRedis(
  client: NodeRedisClient,
  { signal }: { readonly signal?: AbortSignal } = {},
): Promise<RedisConnection> {
  const given = "socket" in client.options ? client.options.socket as object : {};
  const socket = { ...given, reconnectStrategy: false, socketTimeout: undefined };
  const overrides = { ...SETTINGS, socket, clientSideCache: undefined, emitInvalidate: false, pingInterval: undefined };
  return start(client.duplicate(overrides) as Client, signal);
}

async function start(client: Client, signal: AbortSignal | undefined): Promise<RedisConnection> {
  let failure: unknown;
  client.on("error", (error) => {
    failure ??= error;
    // Without reconnecting every error is the end; a microtask on, what is under way has been told the reason.
    queueMicrotask(() => client.destroy());
  });
  await opened(client.connect(), () => client.destroy(), () => failure, signal).catch(rethrow);
  return {
    send: (command) => client.sendCommand(command).catch(rethrow),
    open: (options) => start(client.duplicate() as Client, options?.signal),
    close: () => client.destroy(),
  };
}

function rethrow(error: unknown): never {
  throw error instanceof Error && isReply(error) ? new ReplyError(error.message) : error;
}

function isReply(error: Error): boolean {
  // The client that was passed in may come from another copy of the package, with a class of its own.
  return error instanceof ErrorReply || /^-?[A-Z]+ /.test(error.message) && error.constructor.name === "SimpleError";
}
