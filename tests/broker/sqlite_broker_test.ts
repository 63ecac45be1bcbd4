import { EventBroker } from "@tidings/broker";
import { testBroker } from "@tidings/broker/testing";
import { SqliteStore } from "../../src/sqlite/mod.ts";

testBroker("SqliteStore", async () => {
  const directory = await Deno.makeTempDir({ prefix: "tidings-" });
  let ahead = 0;
  const store = () => SqliteStore.open(`${directory}/events.db`, { now: () => Date.now() + ahead });
  return {
    connect: async (events, options) => new EventBroker(await store(), { events, ...options }),
    store,
    clock: { advance: (ms) => void (ahead += ms) },
    [Symbol.asyncDispose]: () => Deno.remove(directory, { recursive: true }),
  };
});
