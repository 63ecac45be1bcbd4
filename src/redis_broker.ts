import { type BrokerOptions, EventBroker } from "./broker/mod.ts";
import type { EventClass } from "./events/mod.ts";
import type { RedisOptions } from "./redis_options.ts";
import type { EventStore } from "./store/mod.ts";

/** How to make a broker over Redis Streams. */
export interface RedisBrokerOptions<C extends EventClass> extends BrokerOptions<C> {
  /** How to use the Redis. */
  redis?: RedisOptions;
  /**
   * The package that connects to a URL.
   * @default {"@db/redis" on Deno, "node-redis" elsewhere and for Cluster, Sentinel and client certificates}
   */
  client?: "@db/redis" | "node-redis" | "ioredis" | undefined;
}

/**
 * A broker over Redis Streams, by a URL or a client that you have. `connect("redis://…")` makes one too.
 *
 * A client of `npm:redis`, `npm:ioredis` or `jsr:@db/redis`, of one server, of a cluster or of Sentinels, says where to connect and how; it is neither used itself nor
 * ever closed.
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
   * Connects, or rejects at once with what is wrong and what to do.
   *
   * @param urlOrClient `redis://…`, `rediss://…` for TLS, `redis+cluster://…`, `redis+sentinel://…/name`, or a client of
   * one of the packages above.
   * @throws {TypeError} If it is neither, the server is too old, or an option is malformed.
   * @throws {Error} If the server cannot be reached or refuses us.
   */
  static async connect<C extends EventClass>(
    urlOrClient: string | URL | object,
    options: RedisBrokerOptions<C>,
  ): Promise<RedisBroker<C>> {
    const { redis, client, ...others } = Object(options) as RedisBrokerOptions<C>;
    // Loaded when asked for, and with it a client: a program on another store pays for neither.
    const { openRedisStore } = await import("./redis/mod.ts");
    const store = await openRedisStore(urlOrClient, { ...(client && { client }), signal: others.signal, redis });
    try {
      return new RedisBroker(store, options && others);
    } catch (error) {
      await store[Symbol.asyncDispose]();
      throw error;
    }
  }
}
