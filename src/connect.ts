import { type BrokerOptions, EventBroker } from "./broker/mod.ts";
import { checkSignal, show } from "./events/_check.ts";
import type { EventClass } from "./events/mod.ts";
import type { RedisOptions } from "./redis_options.ts";
import { InMemoryStore } from "./memory/mod.ts";
import type { EventStore } from "./store/mod.ts";
import { load } from "./store/_load.ts";

interface Options {
  readonly signal?: AbortSignal | undefined;
  readonly redis?: RedisOptions | undefined;
}

type Open = (rest: string, url: string, options: Options) => EventStore | Promise<EventStore>;

const openRedis: Open = async (_rest, url, options) => {
  const { openRedisStore } = await load(() => import("./redis/mod.ts"));
  return await openRedisStore(url, options);
};

// Each store is loaded when its scheme is first used, so that a program loads only the stores that it needs.
const SCHEMES: ReadonlyMap<string, Open> = new Map<string, Open>([
  ["memory", (name) => new InMemoryStore(name === "" ? {} : { name })],
  ["sqlite", async (path) => {
    if (path === "") {
      throw new TypeError(`Cannot connect to "sqlite:": the path is missing; name the file, as in "sqlite:auction.db"`);
    }
    const { SqliteStore } = await load(() => import("./sqlite/mod.ts"));
    return await SqliteStore.open(path);
  }],
  ...["redis", "rediss", "redis+cluster", "rediss+cluster", "redis+sentinel", "rediss+sentinel"]
    .map((scheme) => [scheme, openRedis] as const),
]);
// Other libraries write these schemes with a hyphen.
const HYPHENATED = /^(rediss?)-(cluster|sentinel)$/;

/** Options of {@linkcode connect}: those of the broker, and of the store that the URL names. */
export interface ConnectOptions<C extends EventClass> extends BrokerOptions<C> {
  /** Settings of a Redis; allowed only with a URL of a Redis. */
  redis?: RedisOptions;
}

/**
 * Opens a broker on the store that the URL names. The rest of the program is the same for all stores.
 *
 * - `memory:` keeps events in this process, for this broker only. All brokers of the process with the URL `memory:name`
 *   share one store.
 * - `sqlite:auction.db` keeps events in a file. The path is absolute, or relative to the working directory.
 * - `redis://host:6379`, or `rediss://` for TLS, keeps events in Redis Streams.
 * - `redis+cluster://host1,host2` uses a Redis Cluster.
 * - `redis+sentinel://host1,host2/mymaster` uses the master that these Sentinels watch.
 *
 * @param url The store of the events.
 * @param options The event classes, and the settings of the broker.
 * @returns The broker; close it, or declare it with `await using`.
 * @throws {TypeError} If the scheme of the URL is unknown, or an option is unknown or malformed.
 * @throws {RangeError} If a number among the options is out of bounds.
 * @throws {Error} If the file cannot be opened or the server cannot be reached. Rejects at once, and the message says what to
 * do.
 *
 * @example Connect, publish, close
 * ```ts
 * import { connect, defineEvent } from "@tidings/broker";
 * import { assertEquals } from "@std/assert";
 *
 * class Greeted extends defineEvent("Greeted")<{ name: string }> {}
 *
 * await using broker = await connect("memory:", { events: [Greeted] });
 * await broker.publish(new Greeted({ name: "Ada" }));
 * assertEquals((await broker.info(Greeted)).length, 1);
 * ```
 */
export async function connect<C extends EventClass>(
  url: string | URL,
  options: ConnectOptions<C>,
): Promise<EventBroker<C>> {
  // The constructor of the broker throws if `options` is not an object.
  const { redis, ...others } = Object(options) as ConnectOptions<C>;
  const { signal } = others;
  checkSignal(signal);
  signal?.throwIfAborted();
  const store = await openStore(url, { signal, redis });
  try {
    signal?.throwIfAborted();
    return new EventBroker(store, options && others);
  } catch (error) {
    await store[Symbol.asyncDispose]();
    throw error;
  }
}

async function openStore(url: string | URL, options: Options): Promise<EventStore> {
  // The text is used as written: URL would change the path of a file.
  const text = typeof url === "string" ? url : url instanceof URL ? url.href : undefined;
  const colon = text?.indexOf(":") ?? -1;
  const open = SCHEMES.get(text?.slice(0, colon).replace(HYPHENATED, "$1+$2") ?? "");
  if (text === undefined || colon < 0 || open === undefined) {
    throw new TypeError(
      `Cannot connect to ${show(withoutPassword(text) ?? url)}: give a URL that begins with ` +
        [...SCHEMES.keys()].map((scheme) => `"${scheme}:"`).join(" or "),
    );
  }
  if (options.redis !== undefined && open !== openRedis) {
    throw new TypeError(`Cannot use redis options with ${show(text)}: it is not the URL of a Redis; leave them out`);
  }
  return await open(text.slice(colon + 1), text, options);
}

// A mistyped URL may contain credentials, and error messages are often logged.
function withoutPassword(url: string | undefined): string | undefined {
  return url?.replace(/:(\/\/)?.*@/, ":$1***@");
}
