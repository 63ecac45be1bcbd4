import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import { contract, type StoreContract } from "../_store_bench.ts";

const RATE = { limit: 100, per: 1_000 };

export const limiting: readonly StoreContract[] = [
  contract("52", "take() spreads starts evenly, and counts those that were reserved", async ({ store, stream }) => {
    const limiter = store.limiter(stream, "group");
    const { delays, next } = await limiter.take(RATE, { count: 5, ahead: 1_000 });
    for (const [nth, delay] of delays.entries()) assertAlmostEquals(delay, nth * 10, 0.01);
    assertAlmostEquals(next, 50, 0.01);
    const after = await store.limiter(stream, "group").take(RATE, { count: 2, ahead: 1_000 });
    assertEquals(after.delays.length, 2);
    assert(after.delays[0]! <= 50.01, "time has passed");
    assertAlmostEquals(after.delays[1]! - after.delays[0]!, 10, 0.01);
  }),

  contract("52", "take() reserves only what is due within the given time", async ({ store, stream }) => {
    const limiter = store.limiter(stream, "group");
    const slow = { limit: 1, per: 60_000 };
    const { delays, next } = await limiter.take(slow, { count: 100, ahead: 100 });
    assertEquals(delays.length, 1);
    assertAlmostEquals(next, 60_000, 1);
    const again = await limiter.take(slow, { count: 100, ahead: 100 });
    assertEquals(again.delays, []);
    assert(again.next > 50_000);
  }),

  contract("52", "take() allows a burst once", async ({ store, stream }) => {
    const burst = { limit: 1, per: 10_000, burst: 5 };
    const limiter = store.limiter(stream, "group");
    const { delays } = await limiter.take(burst, { count: 100, ahead: 10 });
    assertEquals(delays, [0, 0, 0, 0, 0]);
    assertEquals((await limiter.take(burst, { count: 1, ahead: 10 })).delays, []);
  }),

  contract("52, 11", "take() keeps names, keys and streams apart", async ({ store }) => {
    const slow = { limit: 1, per: 60_000 };
    for (const stream of ["a", "b"]) {
      for (const name of ["group", "it's"]) {
        for (const key of ["", "tenant", "ü:*"]) {
          const limiter = store.limiter(stream, name);
          assertEquals((await limiter.take(slow, { count: 2, ahead: 10, key })).delays, [0]);
          assertEquals((await limiter.take(slow, { count: 2, ahead: 10, key })).delays, []);
        }
      }
    }
  }),

  contract("52", "take() follows a limit that changes", async ({ store, stream }) => {
    const limiter = store.limiter(stream, "group");
    await limiter.take({ limit: 1, per: 3_600_000 }, { count: 1, ahead: 10 });
    const { delays } = await limiter.take({ limit: 1_000, per: 1_000 }, { count: 1_000, ahead: 1_000 });
    assertEquals(delays.length, 0);
    const { next } = await limiter.take({ limit: 1_000, per: 1_000 }, { count: 1, ahead: 0 });
    assert(next <= 1_002, `${next} ms until the next start`);
  }),

  contract("52", "take() shares one limit among several stores", async (bench) => {
    const stores = [bench.store, await bench.reopen(), await bench.reopen()];
    const slow = { limit: 10, per: 600_000, burst: 10 };
    const taken = await Promise.all(
      stores.map((store) => store.limiter(bench.stream, "group").take(slow, { count: 6, ahead: 10 })),
    );
    assertEquals(taken.reduce((sum, { delays }) => sum + delays.length, 0), 10);
  }, "second-store"),

  contract("52, 34", "take() goes on when the clock goes back", async (bench) => {
    const limiter = bench.store.limiter(bench.stream, "group");
    await limiter.take(RATE, { count: 1, ahead: 10 });
    bench.clock.advance(-3_600_000);
    assert((await limiter.take(RATE, { count: 1, ahead: 10 })).next <= 1_020);
    bench.clock.advance(1_100);
    assertEquals((await limiter.take(RATE, { count: 1, ahead: 10 })).delays.length, 1);
  }, "clock"),
];
