import { checkKeys, checkNumber } from "./events/_check.ts";

/** How to encrypt a connection. Certificates and keys are texts in PEM, not names of files. */
export interface TlsOptions {
  /** The authorities whose certificates count. @default {those of the runtime} */
  readonly ca?: string | readonly string[];
  /** The client's own certificate, for a server that asks for one; with `key`. */
  readonly cert?: string;
  /** The key to `cert`. */
  readonly key?: string;
  /** The name that the server's certificate must be for. @default {the host} */
  readonly servername?: string;
}

/** What a publish waits for beyond the server's own answer. */
export interface DurabilityOptions {
  /** How many replicas must have the event. @default {0} */
  readonly replicas?: number;
  /** Whether the server must have written it to its disk; needs Redis 7.2 or Valkey, and the append-only file. @default {false} */
  readonly fsync?: boolean;
  /** How long to wait for them, in milliseconds, before asking again. @default {1_000} */
  readonly timeout?: number;
}

/** How to use a Redis, beside where it is. */
export interface RedisOptions {
  /** Who we are, in place of what the URL says. Not beside a client of yours. */
  readonly username?: string;
  /** The password, in place of what the URL says. Not beside a client of yours. */
  readonly password?: string;
  /** How to encrypt the connection, for `rediss://…`. Not beside a client of yours. */
  readonly tls?: TlsOptions;
  /** What `publish` waits for beyond the server's own answer. @default {nothing} */
  readonly durability?: DurabilityOptions;
  /** Whether to use a server whose `maxmemory-policy` may remove whole streams when memory runs out. @default {false} */
  readonly allowEviction?: boolean;
}

const TLS = ["ca", "cert", "key", "servername"];
const DURABILITY = ["replicas", "fsync", "timeout"];
const ALL = ["username", "password", "tls", "durability", "allowEviction"];

/**
 * Checks options, and returns them.
 *
 * @throws {TypeError} If there is one that nothing here knows, or cannot be used. Its value is not shown: it may be secret.
 * @throws {RangeError} If a number is out of bounds.
 */
export function checkRedisOptions(options: RedisOptions = {}): RedisOptions {
  checkKeys("use these options of redis", options, ALL);
  const { username, password, tls, durability, allowEviction } = options;
  checkText({ username, password });
  if (tls !== undefined) {
    checkKeys("use these options of redis.tls", tls, TLS);
    const { ca, cert, key, servername } = tls;
    checkText({ servername }, "tls.");
    for (const one of [ca].flat()) checkPem({ ca: one });
    checkPem({ cert, key });
    if ((tls.cert === undefined) !== (tls.key === undefined)) {
      throw new TypeError(
        "Cannot show a certificate without its key, nor a key alone: give redis.tls.cert and redis.tls.key",
      );
    }
  }
  if (durability !== undefined) {
    checkKeys("use these options of redis.durability", durability, DURABILITY);
    const { replicas = 0, timeout = 1_000, fsync = false } = durability;
    checkNumber("redis.durability.replicas", replicas, { min: 0, max: 1_000, integer: true });
    checkNumber("redis.durability.timeout", timeout, { min: 1, max: 600_000, integer: true });
    checkFlag({ fsync }, "durability.");
    if (replicas === 0 && !fsync) {
      throw new TypeError(
        "Cannot wait for nothing: give redis.durability replicas of at least 1, or fsync, or leave it out",
      );
    }
  }
  checkFlag({ allowEviction });
  return options;
}

function checkText(texts: Readonly<Record<string, unknown>>, of = ""): void {
  for (const [name, text] of Object.entries(texts)) {
    if (text === undefined || typeof text === "string" && text !== "") continue;
    throw new TypeError(
      `Cannot use what was given as redis.${of}${name}: give a text that is not empty, or leave it out`,
    );
  }
}

function checkPem(texts: Readonly<Record<string, unknown>>): void {
  checkText(texts, "tls.");
  for (const [name, text] of Object.entries(texts)) {
    if (text === undefined || String(text).includes("-----BEGIN ")) continue;
    throw new TypeError(
      `Cannot use what was given as redis.tls.${name}: give what is in the file, a text in PEM that begins with ` +
        `"-----BEGIN …", not the file's name`,
    );
  }
}

function checkFlag(flags: Readonly<Record<string, unknown>>, of = ""): void {
  for (const [name, flag] of Object.entries(flags)) {
    if (flag === undefined || typeof flag === "boolean") continue;
    throw new TypeError(`Cannot use what was given as redis.${of}${name}: give true or false, or leave it out`);
  }
}
