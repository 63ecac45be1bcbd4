import { type BrokerOptions, EventBroker } from "./broker/mod.ts";
import { show } from "./events/_check.ts";
import type { EventClass } from "./events/mod.ts";
import type { RedisOptions } from "./redis_options.ts";
import { InMemoryStore } from "./memory/mod.ts";
import type { EventStore } from "./store/mod.ts";

interface Options {
  readonly signal?: AbortSignal | undefined;
  readonly redis?: RedisOptions | undefined;
}

type Open = (rest: string, url: string, options: Options) => EventStore | Promise<EventStore>;

const openRedis: Open = async (_rest, url, options) => {
  const { openRedisStore } = await import("./redis/mod.ts");
  return await openRedisStore(url, options);
};

// Each store is loaded when its scheme is asked for: a program pays for none that it does not use.
const SCHEMES: ReadonlyMap<string, Open> = new Map<string, Open>([
  ["memory", (name) => new InMemoryStore(name === "" ? {} : { name })],
  ["sqlite", async (path) => {
    if (path === "") {
      throw new TypeError(`Cannot connect to "sqlite:": name the file, as in "sqlite:auction.db"`);
    }
    const { SqliteStore } = await import("./sqlite/mod.ts");
    return await SqliteStore.open(path);
  }],
  ...["redis", "rediss", "redis+cluster", "rediss+cluster", "redis+sentinel", "rediss+sentinel"]
    .map((scheme) => [scheme, openRedis] as const),
]);
// As other libraries write them.
const SPELLINGS = /^(rediss?)-(cluster|sentinel)$/;

/** How to make a broker by a URL. */
export interface ConnectOptions<C extends EventClass> extends BrokerOptions<C> {
  /** How to use a Redis. Only with a URL of one. */
  redis?: RedisOptions;
}

/**
 * Opens a broker: the URL says where the events are, and nothing else of the program depends on it.
 *
 * - `memory:` keeps them in this process for this broker alone, `memory:name` for all brokers of the process that ask
 *   for that name;
 * - `sqlite:auction.db` keeps them in a file, a path relative to the working directory or absolute;
 * - `redis://host:6379`, or `rediss://` for TLS, keeps them in Redis Streams; `redis+cluster://host1,host2` in those of a
 *   Redis Cluster, and `redis+sentinel://host1,host2/mymaster` in those of the master that these Sentinels watch.
 *
 * @param url Where the events are.
 * @param options Which event classes the broker is for, and how it works.
 * @returns The broker; close it, or declare it with `await using`.
 * @throws {TypeError} If nothing here knows the URL's scheme, or an option is malformed.
 * @throws {Error} If what the URL names cannot be opened or reached: at once, saying what to do.
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
  // What is no object is the broker's to refuse.
  const { redis, ...others } = Object(options) as ConnectOptions<C>;
  others.signal?.throwIfAborted();
  const store = await openStore(url, { signal: others.signal, redis });
  try {
    return new EventBroker(store, options && others);
  } catch (error) {
    await store[Symbol.asyncDispose]();
    throw error;
  }
}

async function openStore(url: string | URL, options: Options): Promise<EventStore> {
  // As written, not as URL parses it: that would turn the path of a file upside down on the way.
  const text = typeof url === "string" ? url : url instanceof URL ? url.href : undefined;
  const colon = text?.indexOf(":") ?? -1;
  const open = SCHEMES.get(text?.slice(0, colon).replace(SPELLINGS, "$1+$2") ?? "");
  if (text === undefined || colon < 0 || open === undefined) {
    throw new TypeError(
      `Cannot connect to ${show(withoutPassword(text) ?? url)}: give a URL that begins with ` +
        [...SCHEMES.keys()].map((scheme) => `"${scheme}:"`).join(" or "),
    );
  }
  if (options.redis !== undefined && open !== openRedis) {
    throw new TypeError(`Cannot use redis options with ${show(text)}: leave them out`);
  }
  return await open(text.slice(colon + 1), text, options);
}

// A mistyped URL may hold credentials, and error messages end up in logs.
function withoutPassword(url: string | undefined): string | undefined {
  return url?.replace(/:(\/\/)?.*@/, ":$1***@");
}
