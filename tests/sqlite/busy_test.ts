import { assertEquals, assertInstanceOf, assertLess, assertRejects } from "@std/assert";
import { DatabaseSync } from "node:sqlite";
import { SqliteStore } from "../../src/sqlite/sqlite_store.ts";
import { StoreError } from "../../src/store/mod.ts";
import { entries, idOf, scratchStore, turn } from "./_scratch.ts";

/** Keeps the file locked until it is disposed. */
function lock(file: string): Disposable {
  const db = new DatabaseSync(file);
  db.exec("BEGIN IMMEDIATE");
  return { [Symbol.dispose]: () => db.close() };
}

/** Lets the event loop turn so many times; resolves with the longest time that one turn took, in milliseconds. */
async function longestTurn(turns: number): Promise<number> {
  let longest = 0;
  for (let turned = 0; turned < turns; turned++) {
    const began = performance.now();
    await turn();
    longest = Math.max(longest, performance.now() - began);
  }
  return longest;
}

Deno.test("append() waits without blocking while another connection has the lock", async () => {
  await using opened = await scratchStore({ busyTimeout: Infinity });
  const { store, file } = opened;
  let longest = Infinity;
  let appended = 0;
  // On a busy machine the process itself may stand still: then the next round measures again.
  for (let round = 0; round < 10 && longest > 150; round++) {
    const locked = lock(file);
    // All of them wait behind the first one. They are appended in the order of the calls.
    let settled = 0;
    const appends = Array.from({ length: 20 }, async () => {
      await store.append("Stream", entries(1, appended++));
      settled++;
    });
    longest = await longestTurn(100);
    assertEquals(settled, 0);
    locked[Symbol.dispose]();
    await Promise.all(appends);
  }
  assertLess(longest, 150);
  const ids = (await Array.fromAsync(store.read("Stream"))).flat().map(idOf);
  assertEquals(ids, entries(appended).map((fields) => fields[1]));
});

Deno.test("append() rejects as transient when the lock stays longer than busyTimeout", async () => {
  await using opened = await scratchStore({ busyTimeout: 200 });
  const { store, file } = opened;
  {
    using _locked = lock(file);
    const error = await assertRejects(() => store.append("Stream", entries(1)), StoreError, "locked for 200 ms");
    assertEquals(error.kind, "transient");
    assertInstanceOf(error.cause, Error);
    assertEquals(error.cause.message, "database is locked");
  }
  await store.append("Stream", entries(1));
  assertEquals((await store.admin("Stream").info()).length, 1);
});

Deno.test("open() rejects as transient when the lock stays longer than busyTimeout", async () => {
  await using opened = await scratchStore();
  using _locked = lock(opened.file);
  const error = await assertRejects(() => SqliteStore.open(opened.file, { busyTimeout: 50 }), StoreError);
  assertEquals(error.kind, "transient");
});

Deno.test("append() and claim() end when their signal aborts while they wait for the lock", async () => {
  // The lock is not released, and the store never gives up: only the signal can end the calls.
  await using opened = await scratchStore({ busyTimeout: Infinity });
  const { store, file } = opened;
  const member = await store.member("Stream", "group", { consumer: "a", lease: 30_000, startFrom: "beginning" });
  using _locked = lock(file);
  const ended = new AbortController();
  const first = assertRejects(() => store.append("Stream", entries(1), { signal: ended.signal }), Error, "enough");
  const queued = assertRejects(() => store.append("Stream", entries(1), { signal: ended.signal }), Error, "enough");
  const claimed = member.claim({ limit: 1, signal: ended.signal });
  await turn();
  ended.abort(new Error("enough"));
  await Promise.all([first, queued]);
  assertEquals((await claimed).records, []);
});

Deno.test("dispose rejects calls that wait for the lock, for entries or for a delivery", async () => {
  await using opened = await scratchStore();
  const { store, file } = opened;
  const member = await store.member("Stream", "group", { consumer: "a", lease: 30_000, startFrom: "beginning" });
  const never = new AbortController().signal;
  const closed = (work: () => Promise<unknown>) => assertRejects(work, Error, "its store is closed");
  const waits = [
    closed(() => member.claim({ limit: 1, signal: never })),
    closed(() => Array.fromAsync(store.read("Stream", { follow: true, signal: never }))),
  ];
  await turn();
  using _locked = lock(file);
  waits.push(closed(() => store.append("Stream", entries(1))));
  await turn();
  await store[Symbol.asyncDispose]();
  await Promise.all(waits);
  await closed(() => store.append("Stream", entries(1)));
});
