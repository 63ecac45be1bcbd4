/**
 * Stand-in for jsr:@db/redis: the part of its shape and manners that the project uses, over npm:redis. One command is
 * in flight per connection, and what was in flight when the connection was lost is sent again after reconnecting,
 * unless `maxRetryCount` is 0.
 *
 * @module
 */
import { createClient, ErrorReply } from "npm:redis@^6";

/** What tests and tables call it. */
export const STAND_IN = "stand-in";

/** How to connect; as in the original. */
export interface RedisConnectOptions {
  hostname: string;
  port?: number | string;
  tls?: boolean;
  caCerts?: string[];
  username?: string;
  password?: string;
  db?: number;
  maxRetryCount?: number;
  noDelay?: boolean;
  signal?: () => AbortSignal;
}

/** What the original throws for an error of the server, in whose message it leaves the protocol's minus. */
export class ErrorReplyError extends Error {}

type Client = ReturnType<typeof open>;

/** One connection. */
export class Redis {
  /** Named as the private parts of the original. */
  readonly client: { readonly connection: { hostname: string; port: number | string; options: object } };
  #options: RedisConnectOptions;
  #events = new EventTarget();
  #redis: Client | undefined;
  #failure: unknown;
  #last: Promise<unknown> = Promise.resolve();
  #isClosed = false;

  constructor(options: RedisConnectOptions) {
    const { hostname, port = 6379, ...rest } = options;
    this.client = { connection: { hostname, port, options: rest } };
    this.#options = options;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  get isConnected(): boolean {
    return this.#redis?.isReady ?? false;
  }

  async connect(): Promise<void> {
    const { maxRetryCount = 10, signal } = this.#options;
    for (let attempt = 1;; attempt++) {
      const aborted = signal?.();
      const redis = this.#redis = open(this.#options, aborted);
      this.#failure = undefined;
      redis.on("error", (error) => {
        this.#failure ??= error;
        queueMicrotask(() => redis.destroy());
      });
      const abort = () => redis.destroy();
      aborted?.addEventListener("abort", abort);
      try {
        await redis.connect();
        return;
      } catch (error) {
        redis.destroy();
        if (error instanceof ErrorReply) throw new ErrorReplyError(`-${error.message}`);
        if (attempt >= maxRetryCount || aborted?.aborted) throw error;
        await new Promise((resolve) => setTimeout(resolve, Math.min(2 ** attempt * 50, 2_000)));
      } finally {
        aborted?.removeEventListener("abort", abort);
      }
    }
  }

  sendCommand(command: string, args: (string | number | Uint8Array)[] = []): Promise<unknown> {
    const reply = this.#last.then(() => this.#execute([command, ...args.map(String)]));
    this.#last = reply.catch(() => {});
    return reply;
  }

  async #execute(command: string[]): Promise<unknown> {
    const { maxRetryCount = 10 } = this.#options;
    for (let attempt = 0;; attempt++) {
      try {
        if (attempt > 0) await this.connect();
        return await this.#redis!.sendCommand(command);
      } catch (cause) {
        const reply = cause instanceof ErrorReply;
        const error = reply ? new ErrorReplyError(`-${cause.message}`) : this.#failure ?? cause;
        this.#events.dispatchEvent(new CustomEvent("error", { detail: { error } }));
        if (reply || this.#isClosed || attempt >= maxRetryCount) throw error;
      }
    }
  }

  addEventListener(type: "error", listener: (event: CustomEvent<{ error: unknown }>) => void): void {
    this.#events.addEventListener(type, (event) => listener(event as CustomEvent<{ error: unknown }>));
  }

  close(): void {
    this.#isClosed = true;
    this.#redis?.destroy();
  }
}

/** Connects. */
export async function connect(options: RedisConnectOptions): Promise<Redis> {
  const redis = new Redis(options);
  await redis.connect();
  return redis;
}

const PATTERN = createClient({
  RESP: 2,
  disableOfflineQueue: true,
  disableClientInfo: true,
  maintNotifications: "disabled",
  commandOptions: { timeout: undefined } as object,
});

function open(
  { hostname, port = 6379, tls = false, caCerts, username, password, db }: RedisConnectOptions,
  signal: AbortSignal | undefined,
) {
  const ca = caCerts && { ca: caCerts };
  const socket = { host: hostname, port: Number(port), tls, ...ca, reconnectStrategy: false, signal };
  // A client that is made builds a class of its own, which costs far more than connecting; a duplicate shares it.
  return PATTERN.duplicate({
    socket: socket as object,
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password }),
    ...(db !== undefined && { database: db }),
  });
}
