import { assert, assertEquals, assertGreater, assertRejects } from "@std/assert";
import type { SharedState } from "../../store/mod.ts";
import { contract, type StoreContract } from "../_store_bench.ts";

/** Adds one to a number that a state holds, by compare-and-set. Returns how often another writer came first. */
async function increment(state: SharedState): Promise<number> {
  for (let lost = 0;; lost++) {
    const { text, version } = await state.read();
    if (await state.write(`${Number(text ?? 0) + 1}`, version)) return lost;
  }
}

export const sharing: readonly StoreContract[] = [
  contract("40", "read() finds no text and version 0 before the first write", async ({ store, stream, admin }) => {
    const { text, version } = await store.state(stream, "layout").read();
    assertEquals({ text, version }, { text: undefined, version: 0 });
    assertEquals(await admin.info(), { length: 0, bytes: 0, first: undefined, last: undefined, groups: [] });
  }),

  contract("40", "read() returns the text that write() stored, whatever it holds", async ({ store, stream }) => {
    const state = store.state(stream, "layout");
    let before = 0;
    for (const text of ["", "0", "ünï😀\n'\"\\", JSON.stringify({ layouts: [] }), "x".repeat(65_536)]) {
      assert(await state.write(text, before));
      const read = await state.read();
      assertEquals(read.text, text);
      assertGreater(read.version, before);
      before = read.version;
    }
  }),

  contract("40", "write() changes nothing when the version is another one", async ({ store, stream }) => {
    const state = store.state(stream, "layout");
    assertEquals(await state.write("early", 1), false);
    assert(await state.write("one", 0));
    const { version } = await state.read();
    assert(await state.write("two", version));
    for (const stale of [0, version, version + 1e6]) assertEquals(await state.write("late", stale), false);
    assertEquals((await state.read()).text, "two");
  }),

  contract("40", "write() removes the text, and uses no version twice", async ({ store, stream }) => {
    const state = store.state(stream, "layout");
    assert(await state.write("one", 0));
    const one = await state.read();
    assert(await state.write(undefined, one.version));
    const removed = await state.read();
    assertEquals(removed.text, undefined);
    assertGreater(removed.version, one.version);
    assertEquals([await state.write("late", one.version), await state.write("first", 0)], [false, false]);
    assert(await state.write("two", removed.version));
    assertGreater((await state.read()).version, removed.version);
  }),

  contract("40", "write() lets one of several writers win at a time", async ({ store, stream }) => {
    const lost = await Promise.all(Array.from({ length: 8 }, async () => {
      let lost = 0;
      for (let n = 0; n < 5; n++) lost += await increment(store.state(stream, "count"));
      return lost;
    }));
    assertEquals((await store.state(stream, "count").read()).text, "40");
    assert(lost.some((count) => count > 0), "no two writers met");
  }),

  contract("40", "write() lets one of several stores over the same data win", async (bench) => {
    const stores = [bench.store, await bench.reopen(), await bench.reopen()];
    await Promise.all(stores.map(async (store) => {
      for (let n = 0; n < 10; n++) await increment(store.state(bench.stream, "count"));
    }));
    for (const store of stores) assertEquals((await store.state(bench.stream, "count").read()).text, "30");
  }, "second-store"),

  contract("40", "write() refuses a text of more than 64 KiB, and changes nothing", async ({ store, stream }) => {
    const state = store.state(stream, "layout");
    assert(await state.write("kept", 0));
    const { version } = await state.read();
    for (const text of ["x".repeat(65_537), "é".repeat(32_769), "😀".repeat(16_385)]) {
      await assertRejects(() => state.write(text, version), RangeError, 'Cannot write state "layout"');
    }
    assertEquals((await state.read()).text, "kept");
    assert(await state.write("😀".repeat(16_384), version));
  }),

  contract("40, 11", "state() keeps names and streams apart", async ({ store }) => {
    const places = ["Stream", "Stream#0", "other"].flatMap((stream) =>
      ["layout", "assignment:a", "assignment:__proto__", "it's"].map((name) => [stream, name] as const)
    );
    for (const [stream, name] of places) assert(await store.state(stream, name).write(`${stream} ${name}`, 0));
    for (const [stream, name] of places) {
      assertEquals((await store.state(stream, name).read()).text, `${stream} ${name}`);
    }
  }),

  contract("40", "read() tells the time of the store", async (bench) => {
    const state = bench.store.state(bench.stream, "layout");
    assertEquals((await state.read()).now, bench.clock.now());
    bench.clock.advance(1_000);
    assertEquals((await state.read()).now, bench.clock.now());
  }, "clock"),

  contract("40, 34", "write() raises the version when the clock stands still or goes back", async (bench) => {
    const state = bench.store.state(bench.stream, "layout");
    let before = 0;
    for (const ms of [0, 0, -5_000, 10_000]) {
      bench.clock.advance(ms);
      assert(await state.write("text", before));
      const { version } = await state.read();
      assertGreater(version, before);
      before = version;
    }
  }, "clock"),
];
