import type { TlsOptions } from "../../redis_options.ts";

/** Where a server listens. */
export interface Node {
  readonly host: string;
  readonly port: number;
}

/** Encryption, credentials and database of a connection. */
export interface Session {
  /** Undefined for an unencrypted connection. */
  readonly tls: TlsOptions | undefined;
  readonly username: string | undefined;
  readonly password: string | undefined;
  readonly db: number;
}

/** One server, and how to connect to it. */
export interface Address extends Node, Session {}

/** The servers that a URL names. */
export interface Target {
  /** One server, a master that Sentinels watch, or a cluster. */
  readonly kind: "single" | "sentinel" | "cluster";
  /** The server, the Sentinels, or known nodes of the cluster. */
  readonly nodes: readonly Node[];
  /** The master's name in the Sentinels' configuration. */
  readonly name: string | undefined;
  readonly session: Session;
}

const FORMS =
  `"redis://127.0.0.1:6379", "rediss://user:password@host:6380/0", "redis+cluster://host1:6379,host2:6379" or ` +
  `"redis+sentinel://host1:26379,host2:26379/mymaster"`;
const URL_PARTS = /^(redis|rediss)(?:[+-](cluster|sentinel))?:\/\/(?:([^@/?#]*)@)?([^@/?#]+)((?:\/[^@?#]*)?)$/;
// Credentials with an unescaped reserved character, which would end them too early.
const UNESCAPED = /:\/\/[^@]*[/?#][^@]*@|@.*@/;

/**
 * Reads `redis[s]://[user[:password]@]host[:port][/db]`, with several hosts after `redis[s]+cluster://` (whose servers have
 * further databases since Valkey 9 only, and only if their setting says so), and with
 * several hosts and the name of the master, as in `/name[/db]`, after `redis[s]+sentinel://`. A hyphen in place of the
 * plus sign, as other libraries write these schemes, is accepted.
 *
 * @throws {TypeError} If the text is not such a URL. The message does not show the text, which may contain credentials.
 */
export function parseTarget(text: string): Target {
  const [, scheme, suffix, userinfo = "", hosts, path = ""] = URL_PARTS.exec(text) ?? [];
  const kind = (suffix ?? "single") as Target["kind"];
  const nodes = hosts?.split(",").map((host) => parseNode(host, kind === "sentinel" ? 26_379 : 6_379)) ?? [];
  const segments = path.split("/").slice(1).filter((segment, at, all) => segment !== "" || at < all.length - 1);
  const name = kind === "sentinel" ? decoded(segments.shift()) : undefined;
  const isValid = scheme !== undefined && !nodes.includes(undefined) && (kind !== "single" || nodes.length === 1) &&
    (kind !== "sentinel" || Boolean(name)) && segments.length <= 1;
  if (UNESCAPED.test(text)) {
    throw new TypeError(
      `Cannot connect to this Redis URL: its user or password contains a reserved character; write "@" as ` +
        `"%40", "/" as "%2F", "?" as "%3F" and "#" as "%23", or give redis.username and redis.password`,
    );
  }
  if (!isValid) {
    throw new TypeError(`Cannot connect to this Redis URL: ${faultOf(kind, nodes, name)}give one such as ${FORMS}`);
  }
  if (!/^\d*$/.test(segments[0] ?? "")) {
    throw new TypeError(`Cannot connect to database "${segments[0]}": give its number, as in redis://host:6379/1`);
  }
  const db = Number(segments[0] ?? 0);
  const colon = userinfo.indexOf(":");
  const [username, password] = colon < 0 ? [userinfo, ""] : [userinfo.slice(0, colon), userinfo.slice(colon + 1)];
  const tls = scheme === "rediss" ? {} : undefined;
  const session = sessionOf({ username: decoded(username), password: decoded(password), tls, db });
  return { kind, nodes: nodes as Node[], name, session };
}

function faultOf(kind: Target["kind"], nodes: readonly unknown[], name: string | undefined): string {
  if (nodes.includes(undefined)) return "a host or port in it is malformed; ";
  if (kind === "single" && nodes.length > 1) return "several hosts are for redis+cluster:// or redis+sentinel://; ";
  if (kind === "sentinel" && nodes.length > 0 && !name) return "the name of the master is missing; ";
  return "";
}

/**
 * Normalizes the credentials. A user name without a password gets an empty password, because AUTH with a user name needs
 * one.
 */
export function sessionOf({ username, password, ...rest }: Session): Session {
  return {
    ...rest,
    username: username || undefined,
    password: password || (username ? "" : undefined),
  };
}

function parseNode(text: string, defaultPort: number): Node | undefined {
  const [, host, port] = /^(\[[0-9a-fA-F:.]+\]|[^\s%:[\]]+)(?::(\d{1,5}))?$/.exec(text) ?? [];
  if (host === undefined || Number(port) > 65_535 || Number(port) === 0) return undefined;
  return { host: host.replace(/^\[|\]$/g, ""), port: port === undefined ? defaultPort : Number(port) };
}

function decoded(text: string | undefined): string {
  try {
    return decodeURIComponent(text ?? "");
  } catch {
    throw new TypeError(
      `Cannot connect to this Redis URL: it has a "%" that begins no valid escape sequence; write it as "%25"`,
    );
  }
}

/** The text `host:port` of a server. */
export function nodeText({ host, port }: Node): string {
  return `${host.includes(":") ? `[${host}]` : host}:${port}`;
}
