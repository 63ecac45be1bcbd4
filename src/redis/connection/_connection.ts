import { StoreError } from "../../store/mod.ts";
import { Fifo } from "../../store/_fifo.ts";
import type { Node } from "./_address.ts";
import type { RedisConnection, Reply } from "./client.ts";
import { described, isAlive, isClosedByServer } from "./_errors.ts";
import { isServerReply } from "./_reply_error.ts";

/** How long a command may take, and how long connecting may take, in milliseconds. */
export const COMMAND_TIMEOUT = 5_000;

// Extra time for the oldest command, in ms: after a stall of this process, its reply may have arrived unread.
const GRACE = 250;

/** A connection that ends when a reply takes too long. */
export interface TimedConnection extends RedisConnection {
  /**
   * Sends one command.
   *
   * @param timeout How long the reply may take, in milliseconds. A blocking command needs more than the time for which it
   * blocks. A command that exceeds the timeout by more than a quarter of a second ends the connection. All commands in
   * flight then reject as uncertain, because the server may have run them.
   *
   * @default {5000}
   */
  send(command: readonly string[], timeout?: number): Promise<Reply>;
  /** Opens one more connection to the same server, with the same default timeout. */
  open(options?: { readonly signal?: AbortSignal }): Promise<TimedConnection>;
}

/** Opens a connection to one of several servers. */
export type OpenNode = (node: Node, options: { readonly signal?: AbortSignal | undefined }) => Promise<TimedConnection>;

/** How to use a connection. */
export interface TimedOptions {
  /** How long a command may take by default, in milliseconds. @default {5000} */
  readonly timeout?: number;
  /** The server for error messages, such as `redis://127.0.0.1:6379`, without credentials. @default {"Redis"} */
  readonly address?: string | undefined;
}

/**
 * Puts a deadline on each command of a connection, and on opening further connections. One timer serves all commands.
 *
 * After the connection is lost, further commands reject as "transient" without being sent.
 */
export function withDeadline(connection: RedisConnection, options: TimedOptions = {}): TimedConnection {
  return new Timed(connection, options);
}

/**
 * Connects within the deadline and checks that the server is a Redis. No connection stays open if that fails.
 *
 * @param open Opens the connection; its `signal` aborts at the deadline.
 * @throws The error of `open`, an error reply of the server, or a TimeoutError.
 */
export async function openInTime(
  open: (options: { readonly signal: AbortSignal }) => Promise<RedisConnection>,
  { signal, timeout = COMMAND_TIMEOUT, address }: TimedOptions & { readonly signal?: AbortSignal | undefined } = {},
): Promise<TimedConnection> {
  signal?.throwIfAborted();
  const limit = new AbortController();
  const abort = () => limit.abort(signal?.reason);
  signal?.addEventListener("abort", abort);
  const timer = setTimeout(
    () => limit.abort(new DOMException(`no reply within ${timeout} ms`, "TimeoutError")),
    timeout,
  );
  let connection: RedisConnection | undefined;
  // Closing the connection rejects its commands in flight, so that PING below ends at the deadline too.
  limit.signal.addEventListener("abort", () => connection?.close());
  try {
    connection = await open({ signal: limit.signal });
    limit.signal.throwIfAborted();
    await greet(connection);
    return withDeadline(connection, { timeout, address });
  } catch (error) {
    connection?.close();
    throw limit.signal.aborted ? limit.signal.reason : error;
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", abort);
  }
}

async function greet(connection: RedisConnection): Promise<void> {
  try {
    const reply = await connection.send(["PING"]);
    if (reply !== "PONG") throw new Error(`not a Redis: it answered PING with ${JSON.stringify(reply)}`);
  } catch (error) {
    // A server that is loading its data is a Redis too; later commands report that state.
    if (!isAlive(error)) throw error;
  }
}

/** A command in flight. */
interface Pending {
  /** Its deadline, by `performance.now()`. */
  due: number;
  settled: boolean;
}

class Timed implements TimedConnection {
  #connection: RedisConnection;
  #timeout: number;
  #address: string;
  // Oldest first. Replies come in the order of the commands, so no command is due before an older one.
  #pending = new Fifo<Pending>();
  #latestDue = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  // The oldest command, once it has passed its deadline and is in its extra time.
  #overdue: Pending | undefined;
  // Set once the connection is lost.
  #loss: StoreError | undefined;

  constructor(connection: RedisConnection, { timeout = COMMAND_TIMEOUT, address = "Redis" }: TimedOptions) {
    this.#connection = connection;
    this.#timeout = timeout;
    this.#address = address;
  }

  async send(command: readonly string[], timeout: number = this.#timeout): Promise<Reply> {
    if (this.#loss !== undefined) {
      const message = `Cannot send a command to ${this.#address}: the connection is closed`;
      throw new StoreError("transient", message, { cause: this.#loss });
    }
    const entry: Pending = { due: this.#due(timeout), settled: false };
    this.#pending.push(entry);
    this.#timer ?? this.#arm();
    try {
      return await this.#connection.send(command);
    } catch (error) {
      if (isServerReply(error)) throw error;
      const who = isClosedByServer(error) ? "the server closed the connection" : "the connection was lost";
      this.#lose(`${who} before the reply came`, described(error));
      throw this.#loss;
    } finally {
      entry.settled = true;
    }
  }

  get #oldest(): Pending | undefined {
    let oldest = this.#pending.peek();
    for (; oldest?.settled; oldest = this.#pending.peek()) this.#pending.shift();
    return oldest;
  }

  #due(timeout: number): number {
    const due = performance.now() + timeout;
    return this.#latestDue = this.#oldest === undefined ? due : Math.max(due, this.#latestDue);
  }

  #arm(): void {
    const oldest = this.#oldest;
    this.#timer = undefined;
    // The timer fires once more after the last reply: setting and clearing one for each command would cost more.
    if (oldest === undefined || this.#loss !== undefined) return;
    this.#timer = setTimeout(() => this.#check(), Math.max(0, oldest.due - performance.now()));
  }

  #check(): void {
    const oldest = this.#oldest;
    if (oldest !== undefined && oldest.due <= performance.now()) {
      if (oldest === this.#overdue) return this.#lose("no reply came in time");
      this.#overdue = oldest;
      oldest.due = performance.now() + GRACE;
    }
    this.#arm();
  }

  #lose(reason: string, cause?: unknown): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#loss !== undefined) return;
    this.#loss = new StoreError("uncertain", `Cannot tell whether ${this.#address} ran the command: ${reason}`, {
      cause,
    });
    this.#connection.close();
  }

  open({ signal }: { readonly signal?: AbortSignal } = {}): Promise<TimedConnection> {
    return openInTime((options) => this.#connection.open(options), {
      signal,
      timeout: this.#timeout,
      address: this.#address,
    });
  }

  close(): void {
    this.#lose("the connection was closed before the reply came");
  }
}
