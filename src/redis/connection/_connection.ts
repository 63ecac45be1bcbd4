import { StoreError } from "../../store/mod.ts";
import { Fifo } from "../../store/_fifo.ts";
import type { RedisConnection, Reply } from "./client.ts";
import { isAlive, isServerReply } from "./_errors.ts";

/** How long a command may take, and how long connecting may, in milliseconds. */
export const COMMAND_TIMEOUT = 5_000;

// What the oldest command gets on top, in ms: where the process itself stood still, the answer may be here, unread.
const GRACE = 250;

/** A connection whose commands end in time. */
export interface TimedConnection extends RedisConnection {
  /**
   * @param timeout How long the answer may take, in milliseconds: more than the time that a blocking command blocks.
   * A command that takes longer, by a quarter of a second, ends the connection, so that everything on it rejects: it
   * may have been run.
   *
   * @default {5000}
   */
  send(command: readonly string[], timeout?: number): Promise<Reply>;
  open(options?: { readonly signal?: AbortSignal }): Promise<TimedConnection>;
}

/**
 * Puts a deadline on every command of a connection, and on opening further ones. One timer serves all commands.
 *
 * Once the connection is lost, in whatever way, further commands reject as "transient" without being sent.
 */
export function withDeadline(connection: RedisConnection, timeout: number = COMMAND_TIMEOUT): TimedConnection {
  return new Timed(connection, timeout);
}

/**
 * Connects within the deadline and sees to it that a Redis answers; where that fails, nothing stays open.
 *
 * @param open Opens the connection; `signal` aborts when it took too long.
 * @throws What `open` rejects with, what the server answers, or a TimeoutError.
 */
export async function openInTime(
  open: (options: { readonly signal: AbortSignal }) => Promise<RedisConnection>,
  { signal, timeout = COMMAND_TIMEOUT }: { readonly signal?: AbortSignal | undefined; readonly timeout?: number } = {},
): Promise<TimedConnection> {
  signal?.throwIfAborted();
  const limit = new AbortController();
  const abort = () => limit.abort(signal?.reason);
  signal?.addEventListener("abort", abort);
  const timer = setTimeout(
    () => limit.abort(new DOMException(`nothing answered within ${timeout} ms`, "TimeoutError")),
    timeout,
  );
  let connection: RedisConnection | undefined;
  // What is under way on a closed connection rejects at once, so that waiting for it is waiting for the signal too.
  limit.signal.addEventListener("abort", () => connection?.close());
  try {
    connection = await open({ signal: limit.signal });
    limit.signal.throwIfAborted();
    await greet(connection);
    return withDeadline(connection, timeout);
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
    // A server that is loading is there all the same: the commands will tell.
    if (!isAlive(error)) throw error;
  }
}

/** A command whose answer is waited for. */
interface Pending {
  due: number;
  over: boolean;
}

class Timed implements TimedConnection {
  #connection: RedisConnection;
  #timeout: number;
  // Oldest first: answers come in the order of the commands, so that none can be due before the one in front of it.
  #pending = new Fifo<Pending>();
  #latest = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  // The command that has used up its time and waits for its grace to end.
  #overdue: Pending | undefined;
  #end: StoreError | undefined;

  constructor(connection: RedisConnection, timeout: number) {
    this.#connection = connection;
    this.#timeout = timeout;
  }

  async send(command: readonly string[], timeout: number = this.#timeout): Promise<Reply> {
    if (this.#end !== undefined) {
      throw new StoreError("transient", "Cannot send to Redis: the connection was closed", { cause: this.#end });
    }
    const entry: Pending = { due: this.#due(timeout), over: false };
    this.#pending.push(entry);
    this.#timer ?? this.#arm();
    try {
      return await this.#connection.send(command);
    } catch (error) {
      if (isServerReply(error)) throw error;
      this.#lose("the connection was lost before the answer came", error);
      throw this.#end;
    } finally {
      entry.over = true;
    }
  }

  get #oldest(): Pending | undefined {
    let oldest = this.#pending.peek();
    for (; oldest?.over; oldest = this.#pending.peek()) this.#pending.shift();
    return oldest;
  }

  #due(timeout: number): number {
    const due = performance.now() + timeout;
    return this.#latest = this.#oldest === undefined ? due : Math.max(due, this.#latest);
  }

  #arm(): void {
    const oldest = this.#oldest;
    this.#timer = undefined;
    // It goes off once more after the last answer: setting and clearing one for each command would cost more.
    if (oldest === undefined || this.#end !== undefined) return;
    this.#timer = setTimeout(() => this.#check(), Math.max(0, oldest.due - performance.now()));
  }

  #check(): void {
    const oldest = this.#oldest;
    if (oldest !== undefined && oldest.due <= performance.now()) {
      if (oldest === this.#overdue) return this.#lose("no answer came in time");
      this.#overdue = oldest;
      oldest.due = performance.now() + GRACE;
    }
    this.#arm();
  }

  #lose(why: string, cause?: unknown): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#end !== undefined) return;
    this.#end = new StoreError("uncertain", `Cannot tell whether Redis did it: ${why}`, { cause });
    this.#connection.close();
  }

  open({ signal }: { readonly signal?: AbortSignal } = {}): Promise<TimedConnection> {
    return openInTime((options) => this.#connection.open(options), { signal, timeout: this.#timeout });
  }

  close(): void {
    this.#lose("the connection was closed before the answer came");
  }
}
