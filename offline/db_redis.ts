/**
 * Stand-in for jsr:@db/redis, over npm:redis. It has the members and the behaviour that the project uses: one command is in
 * flight per connection, and a command whose connection was lost is sent again after reconnecting, unless `maxRetryCount`
 * is 0.
 *
 * @module
 */
import { createClient, ErrorReply } from "npm:redis@^6";

/** How tests and tables label this stand-in. */
export const STAND_IN = "stand-in";

/** The options of the original. */
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

/** The original throws this for an error reply, and keeps the protocol's "-" in the message. */
export class ErrorReplyError extends Error {}

type Client = ReturnType<typeof open>;

/** One connection. */
export class Redis {
  /** Has the same name and shape as the private member of the original. */
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

/** Opens a connection. */
export async function connect(options: RedisConnectOptions): Promise<Redis> {
  const redis = new Redis(options);
  await redis.connect();
  return redis;
}

const TEMPLATE = createClient({
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
  // createClient() builds a class, which costs far more than connecting. Duplicates share that class.
  return TEMPLATE.duplicate({
    socket: socket as object,
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password }),
    ...(db !== undefined && { database: db }),
  });
}
