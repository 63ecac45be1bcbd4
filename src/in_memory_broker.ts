import { type BrokerOptions, EventBroker } from "./broker/mod.ts";
import type { EventClass } from "./events/mod.ts";
import { InMemoryStore } from "./memory/mod.ts";

/**
 * A broker over this process's memory, for tests, browsers and first steps: everything a durable one does, and nothing
 * is left when it closes. The same as `await connect("memory:", options)`.
 *
 * @example Publish and read back
 * ```ts
 * import { defineEvent, InMemoryBroker } from "@tidings/broker";
 * import { assertEquals } from "@std/assert";
 *
 * class Greeted extends defineEvent("Greeted")<{ name: string }> {}
 *
 * const broker = new InMemoryBroker({ events: [Greeted] });
 * await broker.publish(new Greeted({ name: "Ada" }));
 * const names = await Array.fromAsync(broker.history(Greeted), (event) => event.detail.name);
 * assertEquals(names, ["Ada"]);
 * await broker.close();
 * ```
 */
export class InMemoryBroker<C extends EventClass = EventClass> extends EventBroker<C> {
  /**
   * Makes a broker whose streams nobody else sees.
   *
   * @throws As {@linkcode EventBroker} does.
   */
  constructor(options: BrokerOptions<C>) {
    super(new InMemoryStore(), options);
  }
}
