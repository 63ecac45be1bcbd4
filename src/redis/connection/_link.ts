import { StoreError } from "../../store/mod.ts";
import type { TimedConnection } from "./_connection.ts";
import type { Reply } from "./client.ts";
import { classify, connectError, isServerReply } from "./_errors.ts";
import type { OwnRoute, Pinned } from "./_topology.ts";

/** Opens a connection. */
export type Open = (options: { readonly signal: AbortSignal }) => Promise<TimedConnection>;

/**
 * One connection that is opened anew when it was lost. What was under way when it was lost is in doubt and rejects so;
 * nothing is ever sent twice from here.
 */
export class Link implements OwnRoute {
  #openOne: Open;
  #where: string;
  #current: Promise<TimedConnection> | undefined;
  /** What `#current` resolved with. */
  #connected: TimedConnection | undefined;
  #ended = new AbortController();

  /**
   * @param open Opens a connection.
   * @param where What it connects to, for people.
   * @param first A connection that is there already, taken over.
   */
  constructor(open: Open, where: string, first?: TimedConnection) {
    this.#openOne = open;
    this.#where = where;
    if (first !== undefined) [this.#current, this.#connected] = [Promise.resolve(first), first];
  }

  get connected(): boolean {
    return this.#connected !== undefined;
  }

  async send(command: readonly string[], timeout?: number): Promise<Reply> {
    // Without waiting where there is one: commands go out in the order of the calls.
    return await this.#sendBy(this.#connected ?? await this.#connection(), command, timeout);
  }

  async pin(): Promise<Pinned> {
    const connection = this.#connected ?? await this.#connection();
    return { send: (command, timeout) => this.#sendBy(connection, command, timeout) };
  }

  async #sendBy(connection: TimedConnection, command: readonly string[], timeout?: number): Promise<Reply> {
    try {
      return await connection.send(command, timeout);
    } catch (error) {
      const failure = classify(error);
      if (!isServerReply(error)) this.#drop(connection);
      throw failure;
    }
  }

  async #connection(): Promise<TimedConnection> {
    if (this.#ended.signal.aborted) throw closed();
    this.#current ??= this.#open();
    return await this.#current;
  }

  async #open(): Promise<TimedConnection> {
    try {
      return this.#connected = await this.#openOne({ signal: this.#ended.signal });
    } catch (error) {
      this.#current = undefined;
      if (this.#ended.signal.aborted) throw closed();
      // Nothing was sent: whatever was to be done was not.
      throw connectError(this.#where, error);
    }
  }

  #drop(connection: TimedConnection): void {
    connection.close();
    // Others may have failed on it before, and a new one be on its way.
    if (this.#connected === connection) [this.#current, this.#connected] = [undefined, undefined];
  }

  reset(): void {
    void this.#current?.then((connection) => connection.close(), () => {});
    [this.#current, this.#connected] = [undefined, undefined];
  }

  /** Ends it for good, also while it is being made; resolves once nothing of it is left. */
  async close(): Promise<void> {
    const current = this.#current;
    this.reset();
    this.#ended.abort();
    await current?.catch(() => {});
  }
}

/** What a store answers after it was closed. */
export function closed(): StoreError {
  return new StoreError("transient", "Cannot reach Redis: the store is closed");
}
