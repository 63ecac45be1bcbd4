import { StoreError } from "../store/mod.ts";
import type { RedisConnection, Reply } from "./client.ts";
import { classify } from "./_errors.ts";

/**
 * One connection that is opened anew when it was lost. What was under way when it was lost is in doubt and rejects so;
 * nothing is ever sent twice from here.
 */
export class Link {
  #template: RedisConnection;
  #current: Promise<RedisConnection> | undefined;
  #closed = false;

  /** @param template What further connections are opened from; used as the first one if `first`. */
  constructor(template: RedisConnection, first: boolean) {
    this.#template = template;
    if (first) this.#current = Promise.resolve(template);
  }

  async send(command: readonly string[]): Promise<Reply> {
    const connection = await this.#connection();
    try {
      return await connection.send(command);
    } catch (error) {
      const failure = classify(error);
      if (failure instanceof StoreError && failure.kind === "uncertain") this.#drop(connection);
      throw failure;
    }
  }

  async #connection(): Promise<RedisConnection> {
    if (this.#closed) throw new StoreError("transient", "Cannot reach Redis: the store is closed");
    this.#current ??= this.#open();
    return await this.#current;
  }

  async #open(): Promise<RedisConnection> {
    try {
      const connection = await this.#template.open();
      // Closed while it was being made: nobody else would ever close it.
      if (this.#closed) connection.close();
      return connection;
    } catch (error) {
      this.#current = undefined;
      const failure = classify(error);
      // Nothing was sent: whatever was to be done was not.
      if (!(failure instanceof StoreError)) throw failure;
      throw new StoreError("transient", failure.message, { cause: error });
    }
  }

  #drop(connection: RedisConnection): void {
    connection.close();
    this.#current = undefined;
  }

  /** Ends what is under way; it is opened anew when it is needed again. */
  reset(): void {
    void this.#current?.then((connection) => connection.close(), () => {});
    this.#current = undefined;
  }

  /** Ends it for good. */
  close(): void {
    this.#closed = true;
    this.reset();
  }
}
