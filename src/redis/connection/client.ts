/** A reply of the server, in the shapes of RESP 2: what a script or command answers, nested arrays included. */
export type Reply = string | number | null | readonly Reply[];

/**
 * What the store needs of a Redis client: one connection. An adapter holds no logic; it normalises replies to RESP 2
 * shapes and errors to the client's own, and is set up so that a command is never sent a second time behind our back.
 */
export interface RedisConnection {
  /**
   * Sends one command and resolves with its reply. Commands of one connection run in the order of the calls, and may
   * be under way together. Rejects with what the server answered, or, when the connection was lost or closed before
   * the answer came, with any other error: then the server may or may not have run it. It never stays pending once the
   * connection is lost, and it is never sent again.
   */
  send(command: readonly string[]): Promise<Reply>;

  /**
   * Opens one more connection to the same place with the same credentials, and resolves once it is ready. Rejects when
   * that fails, without trying again, or when the signal aborts, and leaves nothing open then.
   */
  open(options?: { readonly signal?: AbortSignal }): Promise<RedisConnection>;

  /** Ends the connection at once: what is under way rejects. Twice is fine. */
  close(): void;
}

/** Opens a first connection, or rejects with why it could not, at once and without trying for ever. */
export type OpenConnection = (url: URL, options?: { readonly signal?: AbortSignal }) => Promise<RedisConnection>;
