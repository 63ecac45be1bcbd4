import { SqliteStore } from "../../src/sqlite/mod.ts";
import { testEventStore } from "../../src/testing/mod.ts";

testEventStore("SqliteStore", async () => {
  const directory = await Deno.makeTempDir();
  const path = `${directory}/events.db`;
  let time = 1_700_000_000_000;
  const now = () => time;
  const store = await SqliteStore.open(path, { now, pollInterval: 5 });
  return {
    store,
    reopen: () => SqliteStore.open(path, { now, pollInterval: 5 }),
    clock: { now, advance: (ms) => time += ms },
    async [Symbol.asyncDispose]() {
      await store[Symbol.asyncDispose]();
      await Deno.remove(directory, { recursive: true });
    },
  };
});
