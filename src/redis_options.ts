import { checkKeys, checkNumber, show } from "./events/_check.ts";

/** TLS settings of a connection. Certificates and keys are PEM texts, not file names. */
export interface TlsOptions {
  /** Certificates of the authorities to trust. @default {those of the runtime} */
  readonly ca?: string | readonly string[];
  /** The client certificate, for a server that requires one. Needs `key`. */
  readonly cert?: string;
  /** The private key of `cert`. */
  readonly key?: string;
  /** The host name that the server's certificate must have. @default {the host of the URL} */
  readonly servername?: string;
}

/** What `publish` waits for after the server's reply. */
export interface DurabilityOptions {
  /** How many replicas must have the event, from 0 to 1,000. @default {0} */
  readonly replicas?: number;
  /** Whether the server must have written the event to its disk. Needs Redis 7.2 or Valkey 7.2, with `appendonly yes`. @default {false} */
  readonly fsync?: boolean;
  /** How long one attempt waits for replicas and disk, in milliseconds, from 1 to 600,000. @default {1_000} */
  readonly timeout?: number;
}

/** Settings of a Redis besides its address. */
export interface RedisOptions {
  /** The user name; it replaces the one in the URL. Not allowed with a client object. */
  readonly username?: string;
  /** The password; it replaces the one in the URL. Not allowed with a client object. */
  readonly password?: string;
  /** TLS settings for a `rediss://…` URL. Not allowed with a client object. */
  readonly tls?: TlsOptions;
  /** What `publish` waits for after the server's reply. @default {nothing} */
  readonly durability?: DurabilityOptions;
  /** Whether to use a server whose `maxmemory-policy` may remove whole streams when memory runs out. @default {false} */
  readonly allowEviction?: boolean;
}

const TLS = ["ca", "cert", "key", "servername"];
const DURABILITY = ["replicas", "fsync", "timeout"];
const ALL = ["username", "password", "tls", "durability", "allowEviction"];

const CLIENTS: readonly unknown[] = ["@db/redis", "node-redis", "ioredis"];

/**
 * Checks the option `client`.
 *
 * @param hasUrl Whether the store connects to a URL, rather than to the Redis of a client object.
 * @throws {TypeError} If it names no supported package, or a client object was given too.
 */
export function checkClientOption(client: unknown, hasUrl: boolean): void {
  if (client === undefined) return;
  if (!CLIENTS.includes(client)) {
    throw new TypeError(
      `Cannot connect to Redis by client ${show(client)}: it is not supported; give ${CLIENTS.map(show).join(" or ")}`,
    );
  }
  if (!hasUrl) {
    throw new TypeError(
      `Cannot use client ${show(client)} with a client object: the object's own package connects; leave the option ` +
        "out, or give a URL",
    );
  }
}

/**
 * Checks the options, and returns them.
 *
 * @throws {TypeError} If an option is unknown or malformed. The message does not show its value, which may be secret.
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
        "Cannot use a client certificate without its key, or a key without its certificate: give both redis.tls.cert " +
          "and redis.tls.key",
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
        "Cannot use redis.durability: it waits for neither replicas nor disk; give replicas of at least 1 or fsync: " +
          "true, or leave it out",
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
      `Cannot use redis.${of}${name}: it is not a string, or it is empty; give another value, or leave it out`,
    );
  }
}

function checkPem(texts: Readonly<Record<string, unknown>>): void {
  checkText(texts, "tls.");
  for (const [name, text] of Object.entries(texts)) {
    if (text === undefined || String(text).includes("-----BEGIN ")) continue;
    throw new TypeError(
      `Cannot use redis.tls.${name}: it is not in PEM format; give the content of the file, which begins with ` +
        `"-----BEGIN …", not the name of the file`,
    );
  }
}

function checkFlag(flags: Readonly<Record<string, unknown>>, of = ""): void {
  for (const [name, flag] of Object.entries(flags)) {
    if (flag === undefined || typeof flag === "boolean") continue;
    throw new TypeError(`Cannot use redis.${of}${name}: it is not a boolean; give true or false, or leave it out`);
  }
}
