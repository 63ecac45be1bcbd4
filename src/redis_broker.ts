import { type BrokerOptions, EventBroker } from "./broker/mod.ts";
import { checkSignal } from "./events/_check.ts";
import type { EventClass } from "./events/mod.ts";
import type { RedisOptions } from "./redis_options.ts";
import type { EventStore } from "./store/mod.ts";
import { load } from "./store/_load.ts";

/** How to make a broker over Redis Streams. */
export interface RedisBrokerOptions<C extends EventClass> extends BrokerOptions<C> {
  /** Credentials, TLS, durability and other settings of the Redis. @default {those of the URL or the client object} */
  redis?: RedisOptions;
  /**
   * The package that connects to a URL. Leave it out with a client object, whose own package connects. Client certificates
   * need `"node-redis"` or `"ioredis"`.
   *
   * @default {"@db/redis" on Deno, "node-redis" elsewhere}
   */
  client?: "@db/redis" | "node-redis" | "ioredis" | undefined;
}

/**
 * A broker over Redis Streams, for a URL or a client object of yours. `connect("redis://…")` makes one too.
 *
 * The client object may be one of `npm:redis`, `npm:ioredis` or `jsr:@db/redis`, for one server, a cluster or Sentinels. The
 * broker reads the servers and settings from the client object and opens its own connections. It neither uses nor closes
 * the client object.
 *
 * @example With a client of your own
 * ```ts ignore
 * import { defineEvent, RedisBroker } from "@tidings/broker";
 * import { createClient } from "redis";
 *
 * class Greeted extends defineEvent("Greeted")<{ name: string }> {}
 *
 * const client = createClient({ url: "redis://127.0.0.1:6379" });
 * await using broker = await RedisBroker.connect(client, { events: [Greeted] });
 * await broker.publish(new Greeted({ name: "Ada" }));
 * ```
 */
export class RedisBroker<C extends EventClass = EventClass> extends EventBroker<C> {
  private constructor(store: EventStore, options: BrokerOptions<C>) {
    super(store, options);
  }

  /**
   * Connects to Redis. It makes one attempt: if that fails, it rejects at once with an error that says what to do.
   *
   * @param urlOrClient `redis://…`, `rediss://…` for TLS, `redis+cluster://…`, `redis+sentinel://…/name`, or a client of
   * one of the packages above.
   * @throws {TypeError} If `urlOrClient` is neither such a URL nor such a client, the server is too old or may evict streams,
   * or an option is unknown or malformed.
   * @throws {RangeError} If a number among the options is out of bounds.
   * @throws {Error} If the server cannot be reached, or refuses the connection.
   */
  static async connect<C extends EventClass>(
    urlOrClient: string | URL | object,
    options: RedisBrokerOptions<C>,
  ): Promise<RedisBroker<C>> {
    const { redis, client, ...others } = Object(options) as RedisBrokerOptions<C>;
    checkSignal(others.signal);
    // Loaded only here, so that a program on another store loads neither this module nor a client package.
    const { openRedisStore } = await load(() => import("./redis/mod.ts"));
    const store = await openRedisStore(urlOrClient, {
      ...(client !== undefined && { client }),
      signal: others.signal,
      redis,
    });
    try {
      others.signal?.throwIfAborted();
      return new RedisBroker(store, options && others);
    } catch (error) {
      await store[Symbol.asyncDispose]();
      throw error;
    }
  }
}
