import { type BrokerOptions, EventBroker } from "./broker/mod.ts";
import type { EventClass } from "./events/mod.ts";
import { InMemoryStore } from "./memory/mod.ts";

/**
 * A broker over this process's memory, for tests, browsers and first steps: everything a durable one does, and nothing
 * is left when it closes. The same as `await connect("memory:", options)`.
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
