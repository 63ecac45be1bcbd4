import type { Node } from "./_address.ts";

/** An error reply of the server. Adapters throw it, so that no other code needs the error classes of the clients. */
export class ReplyError extends Error {
  override readonly name = "ReplyError";
  /** The first word of the reply, as in `WRONGTYPE`. */
  readonly code: string;

  constructor(message: string) {
    // One client keeps the protocol's "-" before the message. Newer servers name the user, which logs need not show.
    super(message.replace(/^-/, "").replace(/\bUser (?:.*) (?=has no permissions\b)/s, "this user "));
    this.code = /^[A-Z]+/.exec(this.message)?.[0] ?? "";
  }
}

/** An error and its causes, outermost first. At most twenty, because causes may form a circle. */
export function causesOf(error: unknown): Error[] {
  const errors: Error[] = [];
  for (let at = error; at instanceof Error && errors.length < 20; at = at.cause) errors.push(at);
  return errors;
}

/** The server's reply among an error and its causes. */
export function replyOf(error: unknown): ReplyError | undefined {
  for (const at of causesOf(error)) if (at instanceof ReplyError) return at;
  return undefined;
}

/** True for an error reply of the server: the connection works, and the command failed. */
export function isServerReply(error: unknown): boolean {
  return replyOf(error) !== undefined;
}

/** True when the server does not know the script, which therefore did not run. */
export function isNoScript(error: unknown): boolean {
  return says(error, /\bNOSCRIPT\b/);
}

/** True when the stream or the group does not exist, or was removed during a blocked read. */
export function isNoGroup(error: unknown): boolean {
  return says(error, /\bNOGROUP\b|\bUNBLOCKED the stream key|\bno such key/);
}

/** True when the key of an XINFO command does not exist. */
export function isNoKey(error: unknown): boolean {
  return says(error, /no such key/i);
}

/** True when the server has no such command. */
export function isUnknownCommand(error: unknown): boolean {
  return says(error, /unknown command/i);
}

/** True when a replica refuses a command that only a primary runs. */
export function isReplicaReply(error: unknown): boolean {
  return says(error, /cannot be used with replica instances/);
}

/** True when the group exists already. */
export function isBusyGroup(error: unknown): boolean {
  return says(error, /\bBUSYGROUP\b/);
}

/** True when CLIENT UNBLOCK ended a blocked read. */
export function isUnblocked(error: unknown): boolean {
  return says(error, /\bUNBLOCKED client/);
}

/**
 * The node that a MOVED or ASK reply names; undefined for any other error. The command did not run.
 *
 * @param asked The node that replied.
 * @returns The node to send the command to; `once` if later commands still go to the node that replied.
 */
export function redirectionOf(
  error: unknown,
  asked: Node,
): { readonly node: Node; readonly once: boolean } | undefined {
  const [, word, host, port] = /\b(MOVED|ASK) \d+ (\S*):(\d+)/.exec(replyOf(error)?.message ?? "") ?? [];
  if (word === undefined) return undefined;
  return { node: { host: hostOr(host, asked), port: Number(port) }, once: word === "ASK" };
}

/** A host from a reply of a cluster node. A node that does not know its own host replies with "?" or an empty host. */
export function hostOr(host: string | null | undefined, asked: Node): string {
  return host && host !== "?" ? host : asked.host;
}

function says(error: unknown, pattern: RegExp): boolean {
  return pattern.test(replyOf(error)?.message ?? "");
}
