import { EventBroker } from "@tidings/broker";
import { testBroker } from "@tidings/broker/testing";
import { InMemoryStore } from "../../src/memory/mod.ts";

testBroker("InMemoryStore", () => {
  const name = crypto.randomUUID();
  let ahead = 0;
  const store = () => Promise.resolve(new InMemoryStore({ name, now: () => Date.now() + ahead }));
  return Promise.resolve({
    connect: async (events, options) => new EventBroker(await store(), { events, ...options }),
    store,
    clock: { advance: (ms) => void (ahead += ms) },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  });
});
