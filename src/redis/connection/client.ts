/** A reply of the server to a command or script, in the shapes of RESP 2. */
export type Reply = string | number | null | readonly Reply[];

/**
 * One connection of a Redis client, as the store uses it. An adapter converts replies to RESP 2 shapes and error replies
 * to ReplyError, and configures the client so that it never sends a command a second time by itself.
 */
export interface RedisConnection {
  /**
   * Sends one command and resolves with its reply. Commands of one connection run in the order of the calls; several may
   * be in flight. The command is never sent again.
   *
   * @throws {ReplyError} For an error reply.
   * @throws {Error} If the connection was lost or closed before the reply. The server may have run the command.
   */
  send(command: readonly string[]): Promise<Reply>;

  /**
   * Opens one more connection to the same server with the same credentials, and resolves once it is ready. Makes one
   * attempt only. No connection stays open if it fails or the signal aborts.
   */
  open(options?: { readonly signal?: AbortSignal }): Promise<RedisConnection>;

  /** Ends the connection at once: commands in flight reject. May be called twice. */
  close(): void;
}
