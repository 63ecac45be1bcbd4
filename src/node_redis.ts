/**
 * Redis by `npm:redis`, whatever the runtime's usual client is.
 *
 * ```ts ignore
 * import { defineEvent } from "@tidings/broker";
 * import { connect } from "@tidings/broker/node-redis";
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
 * Opens a broker on the Redis of a URL, connecting with `npm:redis`.
 *
 * @throws As {@linkcode RedisBroker.connect} does.
 */
export function connect<C extends EventClass>(
  url: string | URL,
  options: RedisBrokerOptions<C>,
): Promise<RedisBroker<C>> {
  return RedisBroker.connect(url, { ...options, client: "node-redis" });
}
