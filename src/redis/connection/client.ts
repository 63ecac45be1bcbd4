/** A reply of the server to a command or script, in the shapes of RESP 2. */
export type Reply = string | number | null | readonly Reply[];

/**
 * One connection of a Redis client, as the store uses it. An adapter converts replies to RESP 2 shapes and error replies
 * to ReplyError, and configures the client so that it never sends a command a second time by itself.
 */
export interface RedisConnection {
  /**
   * Sends one command and resolves with its reply. Commands of one connection run in the order of the calls; several may
   * be in flight. Rejects with a ReplyError for an error reply. Rejects with any other error when the connection was lost
   * or closed before the reply: the server may or may not have run the command. The promise settles once the connection
   * is lost, and the command is never sent again.
   */
  send(command: readonly string[]): Promise<Reply>;

  /**
   * Opens one more connection to the same server with the same credentials, and resolves once it is ready. Rejects
   * without another attempt when that fails or the signal aborts; no connection stays open then.
   */
  open(options?: { readonly signal?: AbortSignal }): Promise<RedisConnection>;

  /** Ends the connection at once: commands in flight reject. May be called twice. */
  close(): void;
}
