/**
 * A broker over Redis that connects with `npm:ioredis` on every runtime.
 *
 * ```ts ignore
 * import { defineEvent } from "@tidings/broker";
 * import { connect } from "@tidings/broker/ioredis";
 *
 * class Greeted extends defineEvent("Greeted")<{ name: string }> {}
 *
 * await using broker = await connect("redis://127.0.0.1:6379", { events: [Greeted] });
 * await broker.publish(new Greeted({ name: "Ada" }));
 * ```
 *
 * @module
 */
import type { EventClass } from "./events/mod.ts";
import { RedisBroker, type RedisBrokerOptions } from "./redis_broker.ts";

/**
 * Opens a broker on the Redis of a URL, connecting with `npm:ioredis`. Otherwise it is the same as
 * {@linkcode RedisBroker.connect}.
 *
 * @throws {TypeError} If the URL or an option is malformed, or the server is too old.
 * @throws {Error} If the server cannot be reached, or refuses the connection.
 */
export function connect<C extends EventClass>(
  url: string | URL,
  options: RedisBrokerOptions<C>,
): Promise<RedisBroker<C>> {
  return RedisBroker.connect(url, { ...options, client: "ioredis" });
}
