import { SqliteStore } from "../../src/sqlite/sqlite_store.ts";
import { testEventStore } from "../../src/testing/mod.ts";
import { scratch } from "./_scratch.ts";

testEventStore("SqliteStore", async () => {
  const dir = scratch();
  let time = 1_700_000_000_000;
  const now = () => time;
  const store = await SqliteStore.open(dir.file, { now });
  return {
    store,
    reopen: () => SqliteStore.open(dir.file, { now }),
    clock: { now, advance: (ms) => time += ms },
    [Symbol.asyncDispose]: async () => {
      await store[Symbol.asyncDispose]();
      dir[Symbol.dispose]();
    },
  };
});

testEventStore("SqliteStore by Date.now", async () => {
  const dir = scratch();
  const store = await SqliteStore.open(dir.file);
  return {
    store,
    reopen: () => SqliteStore.open(dir.file),
    [Symbol.asyncDispose]: async () => {
      await store[Symbol.asyncDispose]();
      dir[Symbol.dispose]();
    },
  };
}, { skip: { "clock": "it uses the system clock" } });
