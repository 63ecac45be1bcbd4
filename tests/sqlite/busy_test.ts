import { assert, assertEquals, assertInstanceOf, assertLess, assertRejects } from "@std/assert";
import { DatabaseSync } from "node:sqlite";
import { SqliteStore } from "../../src/sqlite/sqlite_store.ts";
import { StoreError } from "../../src/store/mod.ts";
import { entries, idOf, scratchStore } from "./_scratch.ts";

/** Keeps the file locked until it is disposed. */
function lock(file: string): Disposable {
  const db = new DatabaseSync(file);
  db.exec("BEGIN IMMEDIATE");
  return { [Symbol.dispose]: () => db.close() };
}

/** Measures for how long, at most, the event loop stood still. */
function watchLoop(): { readonly longest: () => number } & Disposable {
  let [last, longest] = [performance.now(), 0];
  const timer = setInterval(() => {
    const now = performance.now();
    longest = Math.max(longest, now - last);
    last = now;
  }, 1);
  return { longest: () => longest, [Symbol.dispose]: () => clearInterval(timer) };
}

Deno.test("append() waits without blocking while another connection has the lock", async () => {
  await using opened = await scratchStore();
  const { store, file } = opened;
  const locked = lock(file);
  using loop = watchLoop();
  setTimeout(() => locked[Symbol.dispose](), 300);
  const began = performance.now();
  // All wait behind the first; the order of the calls is kept.
  const appended = await Promise.all(Array.from({ length: 20 }, (_, n) => store.append("Stream", entries(1, n))));
  assert(performance.now() - began >= 250);
  assertLess(loop.longest(), 150);
  assertEquals(appended.length, 20);
  const ids = (await Array.fromAsync(store.read("Stream"))).flat().map(idOf);
  assertEquals(ids, entries(20).map((fields) => fields[1]));
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

Deno.test("append() and claim() end at once when their signal aborts while they wait for the lock", async () => {
  await using opened = await scratchStore();
  const { store, file } = opened;
  const member = await store.member("Stream", "group", { consumer: "a", lease: 30_000, startFrom: "beginning" });
  using _locked = lock(file);
  const ended = new AbortController();
  const first = assertRejects(() => store.append("Stream", entries(1), { signal: ended.signal }), Error, "enough");
  const queued = assertRejects(() => store.append("Stream", entries(1), { signal: ended.signal }), Error, "enough");
  const claimed = member.claim({ limit: 1, signal: ended.signal });
  setTimeout(() => ended.abort(new Error("enough")), 50);
  const began = performance.now();
  await Promise.all([first, queued]);
  assertEquals((await claimed).records, []);
  assertLess(performance.now() - began, 1_000);
});

Deno.test("dispose ends what waits for the lock, for entries or for a claim", async () => {
  await using opened = await scratchStore();
  const { store, file } = opened;
  const member = await store.member("Stream", "group", { consumer: "a", lease: 30_000, startFrom: "beginning" });
  const never = new AbortController().signal;
  const closed = (work: () => Promise<unknown>) => assertRejects(work, Error, "its store is closed");
  const waits = [
    closed(() => member.claim({ limit: 1, signal: never })),
    closed(() => Array.fromAsync(store.read("Stream", { follow: true, signal: never }))),
  ];
  await new Promise((resolve) => setTimeout(resolve, 30));
  using _locked = lock(file);
  waits.push(closed(() => store.append("Stream", entries(1))));
  await new Promise((resolve) => setTimeout(resolve, 30));
  await store[Symbol.asyncDispose]();
  await Promise.all(waits);
  await closed(() => store.append("Stream", entries(1)));
});
