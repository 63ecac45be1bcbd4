import { StoreError } from "../../store/mod.ts";
import type { TimedConnection } from "./_connection.ts";
import { classify, connectError } from "./_errors.ts";
import { isServerReply } from "./_reply_error.ts";
import type { OwnRoute, Pinned } from "./_topology.ts";
import type { Reply } from "./client.ts";

/** Opens a connection. */
export type Open = (options: { readonly signal: AbortSignal }) => Promise<TimedConnection>;

/**
 * One connection that is opened again after it was lost. Commands in flight at that moment reject as uncertain; no
 * command is ever sent twice.
 */
export class Link implements OwnRoute {
  #openConnection: Open;
  #address: string;
  #current: Promise<TimedConnection> | undefined;
  /** The connection that `#current` resolved with. */
  #connected: TimedConnection | undefined;
  #ended = new AbortController();

  /**
   * @param open Opens a connection.
   * @param address The address for error messages, without credentials.
   * @param first An open connection, taken over.
   */
  constructor(open: Open, address: string, first?: TimedConnection) {
    this.#openConnection = open;
    this.#address = address;
    if (first !== undefined) [this.#current, this.#connected] = [Promise.resolve(first), first];
  }

  /** Whether a connection is open. */
  get connected(): boolean {
    return this.#connected !== undefined;
  }

  async send(command: readonly string[], timeout?: number): Promise<Reply> {
    // No await while a connection is open, so that commands are sent in the order of the calls.
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
    if (this.#ended.signal.aborted) throw closedError();
    this.#current ??= this.#open();
    return await this.#current;
  }

  async #open(): Promise<TimedConnection> {
    try {
      return this.#connected = await this.#openConnection({ signal: this.#ended.signal });
    } catch (error) {
      this.#current = undefined;
      if (this.#ended.signal.aborted) throw closedError();
      // No command was sent, so the failure is certain.
      throw connectError(this.#address, error);
    }
  }

  #drop(connection: TimedConnection): void {
    connection.close();
    // Another command may have dropped it before, and a new connection may be opening.
    if (this.#connected === connection) [this.#current, this.#connected] = [undefined, undefined];
  }

  reset(): void {
    void this.#current?.then((connection) => connection.close(), () => {});
    [this.#current, this.#connected] = [undefined, undefined];
  }

  /** Closes the link for good, also while it is connecting. Resolves once its connection is closed. */
  async close(): Promise<void> {
    const current = this.#current;
    this.reset();
    this.#ended.abort();
    await current?.catch(() => {});
  }
}

/** The error of a store that was closed. */
export function closedError(): StoreError {
  return new StoreError("transient", "Cannot reach Redis: the store is closed");
}
