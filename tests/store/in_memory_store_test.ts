import { assertEquals } from "@std/assert";
import { InMemoryStore } from "../../src/memory/in_memory_store.ts";
import { testEventStore } from "../../src/testing/mod.ts";

testEventStore("InMemoryStore", () => {
  const name = crypto.randomUUID();
  let time = 1_700_000_000_000;
  const now = () => time;
  const store = new InMemoryStore({ name, now });
  return Promise.resolve({
    store,
    reopen: () => Promise.resolve(new InMemoryStore({ name, now })),
    clock: { now, advance: (ms) => time += ms },
    [Symbol.asyncDispose]: () => store[Symbol.asyncDispose](),
  });
});

testEventStore("InMemoryStore by Date.now", () => {
  const store = new InMemoryStore();
  return Promise.resolve({ store, [Symbol.asyncDispose]: () => store[Symbol.asyncDispose]() });
}, { skip: { "clock": "it uses the system clock", "second-store": "a store without a name shares no data" } });

Deno.test("InMemoryStore() shares nothing when it has no name", async () => {
  const [one, other] = [new InMemoryStore(), new InMemoryStore()];
  await one.append("Stream", [["id", "1"]]);
  assertEquals((await other.admin("Stream").info()).length, 0);
});
