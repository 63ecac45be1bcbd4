import { type BrokerOptions, EventBroker } from "./broker/mod.ts";
import type { EventClass } from "./events/mod.ts";
import { InMemoryStore } from "./memory/mod.ts";

/**
 * A broker in the memory of this process, for tests, browsers and first steps. It works as a broker over a durable store, but
 * its events are lost when it closes. The same as `await connect("memory:", options)`.
 *
 * @example Publish and read in one process
 * ```ts
 * import { defineEvent, InMemoryBroker } from "@tidings/broker";
 * import { assertEquals } from "@std/assert";
 *
 * class Greeted extends defineEvent("Greeted")<{ name: string }> {}
 *
 * await using broker = new InMemoryBroker({ events: [Greeted] });
 * await broker.publish(new Greeted({ name: "Ada" }));
 * const [event] = await Array.fromAsync(broker.history(Greeted));
 * assertEquals(event?.detail.name, "Ada");
 * ```
 */
export class InMemoryBroker<C extends EventClass = EventClass> extends EventBroker<C> {
  /**
   * Makes a broker with its own store, which no other broker uses.
   *
   * @throws {TypeError} If an option is unknown or malformed.
   * @throws {RangeError} If a number among the options is out of bounds.
   */
  constructor(options: BrokerOptions<C>) {
    super(new InMemoryStore(), options);
  }
}
