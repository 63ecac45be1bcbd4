import { assert, assertEquals } from "@std/assert";
import type { Fields } from "../../store/mod.ts";
import { ack, type Bench, contract, positionsOf, type StoreContract } from "../_store_bench.ts";

// Larger than a block in which a store may keep several entries, so that each entry counts alone.
const LARGE = 6_000;

/** Appends entries of this size, in characters, one after another. */
async function appendLarge(bench: Bench, count: number, size = LARGE): Promise<void> {
  const entries: Fields[] = bench.entries(count).map(([id, value]) => [id!, value!, "payload", "x".repeat(size)]);
  await bench.store.append(bench.stream, entries);
}

async function bytesOf(bench: Bench): Promise<number> {
  const { bytes } = await bench.admin.info();
  assert(typeof bytes === "number", `The stream takes ${bytes} bytes`);
  return bytes;
}

export const bytes: readonly StoreContract[] = [
  contract(
    "44",
    "info() tells how many bytes a stream takes, more with each entry and less after a trim",
    async (bench) => {
      assertEquals(await bytesOf(bench), 0);
      await appendLarge(bench, 1);
      const one = await bytesOf(bench);
      assert(one >= LARGE && one < 3 * LARGE, `One entry takes ${one} bytes`);
      await appendLarge(bench, 19);
      const all = await bytesOf(bench);
      assert(all >= 20 * LARGE && all < 25 * LARGE, `20 entries take ${all} bytes`);
      await bench.admin.trim({ maxLength: 10 });
      const half = await bytesOf(bench);
      assert(half >= 10 * LARGE && half < 13 * LARGE, `10 entries take ${half} bytes`);
      await bench.admin.trim({ maxLength: 0 });
      const none = await bytesOf(bench);
      assert(none < LARGE, `An empty stream takes ${none} bytes`);
      // The store answers a batch that it has already, and does not count it again.
      const producer = { id: crypto.randomUUID(), sequence: 1, decided: 0, known: false };
      const batch: Fields[] = [["id", "1", "payload", "x".repeat(LARGE)]];
      await bench.store.append(bench.stream, batch, { producer });
      await bench.store.append(bench.stream, batch, { producer });
      const again = await bytesOf(bench);
      assert(again >= LARGE && again < 3 * LARGE, `One entry takes ${again} bytes`);
    },
  ),

  contract("44", "info() counts the bytes of text in any alphabet, and of any fields", async (bench) => {
    await bench.store.append(bench.stream, [["payload", "\u20ac".repeat(LARGE)], [
      "\u{1f389}",
      "\ud800".repeat(LARGE),
    ]]);
    assert(await bytesOf(bench) >= 2 * LARGE);
    await bench.admin.trim({ maxLength: 0 });
    const none = await bytesOf(bench);
    assert(none < LARGE, `An empty stream takes ${none} bytes`);
  }),

  contract("44", "trim() removes the oldest entries until the rest fits maxBytes, and no more", async (bench) => {
    await appendLarge(bench, 40);
    const all = positionsOf(await bench.read());
    const full = await bytesOf(bench);
    assertEquals(await bench.admin.trim({ maxBytes: full }), { removed: 0, pinnedBy: undefined });
    const { removed, pinnedBy } = await bench.admin.trim({ maxBytes: full / 2 });
    assertEquals(pinnedBy, undefined);
    // A store that measures approximately may remove two or three more.
    assert(removed >= 17 && removed <= 23, `${removed} of 40 entries were removed`);
    assertEquals(positionsOf(await bench.read()), all.slice(removed));
    assert(await bytesOf(bench) <= full / 2);
    assertEquals((await bench.admin.trim({ maxBytes: full / 2 })).removed, 0);
  }),

  contract("44", "trim() bounds bytes where entries differ by a thousand times in size", async (bench) => {
    await appendLarge(bench, 20, 200_000);
    await bench.store.append(bench.stream, bench.entries(400));
    const [small] = positionsOf(await bench.read({ reverse: true, limit: 400 })).slice(-1);
    await appendLarge(bench, 5, 200_000);
    const { removed } = await bench.admin.trim({ maxBytes: 1_500_000 });
    // The small entries behind the large ones stay: without 20 large entries the rest fits.
    assert(removed >= 18 && removed <= 20, `${removed} entries were removed`);
    assertEquals(positionsOf(await bench.read({ from: small! })).length, 405);
    const { removed: more } = await bench.admin.trim({ maxBytes: 700_000 });
    assert(more >= 401, `${more} entries were removed`);
    assert(await bytesOf(bench) <= 700_000);
  }),

  contract("44", "trim() by maxBytes takes as many steps as it needs", async (bench) => {
    for (let appended = 0; appended < 5_000; appended += 500) {
      await bench.store.append(
        bench.stream,
        bench.entries(500).map(([id, value]) => [id!, value!, "payload", "x".repeat(100)]),
      );
    }
    const full = await bytesOf(bench);
    const { removed } = await bench.admin.trim({ maxBytes: full / 10 });
    assert(removed >= 4_300 && removed <= 4_700, `${removed} of 5,000 entries were removed`);
    assert(await bytesOf(bench) <= full / 10);
    assertEquals((await bench.admin.info()).length, 5_000 - removed);
  }),

  contract(
    "44, 27",
    "trim() by maxBytes never removes entries that a group has not read or not settled",
    async (bench) => {
      await appendLarge(bench, 20);
      const all = positionsOf(await bench.read());
      const member = await bench.join();
      const bound = { maxBytes: 8 * LARGE };
      assertEquals(await bench.admin.trim(bound), { removed: 0, pinnedBy: "group" });
      const taken = await bench.take(member, 8);
      await member.settle(ack(taken.slice(0, 5)));
      assertEquals(await bench.admin.trim(bound), { removed: 5, pinnedBy: "group" });
      await member.settle(ack(taken.slice(5)));
      assertEquals(await bench.admin.trim({ maxBytes: 1 }), { removed: 3, pinnedBy: "group" });
      assertEquals(await bench.drain(member), all.slice(8));
      const { removed, pinnedBy } = await bench.admin.trim(bound);
      assert(removed >= 4 && removed <= 6, `${removed} entries were removed`);
      assertEquals(pinnedBy, undefined);
      assert(await bytesOf(bench) <= bound.maxBytes);
    },
  ),

  contract(
    "44",
    "trim() applies all bounds together, and maxBytes with force removes unread entries",
    async (bench) => {
      await appendLarge(bench, 20);
      const all = positionsOf(await bench.read());
      const full = await bytesOf(bench);
      const member = await bench.join();
      await bench.admin.trim({ maxLength: 15, maxBytes: full, force: true });
      assertEquals(positionsOf(await bench.read()), all.slice(5));
      const { removed } = await bench.admin.trim({ maxLength: 15, maxBytes: full / 2, force: true });
      assert(removed >= 4 && removed <= 7, `${removed} entries were removed`);
      assert(await bytesOf(bench) <= full / 2);
      const gone = 5 + removed;
      const claim = await bench.claim(member);
      assertEquals(claim.removed, { from: all[0]!, to: all[gone - 1]!, count: gone });
      assertEquals(positionsOf(claim.records), all.slice(gone));
    },
  ),

  contract("44", "info() tells the same bytes to another store over the same data", async (bench) => {
    await appendLarge(bench, 4);
    const other = await bench.reopen();
    assertEquals((await other.admin(bench.stream).info()).bytes, await bytesOf(bench));
    await other.append(bench.stream, [["payload", "x".repeat(LARGE)]]);
    await bench.admin.trim({ maxLength: 2 });
    const left = (await other.admin(bench.stream).info()).bytes!;
    assertEquals(left, await bytesOf(bench));
    assert(left >= 2 * LARGE && left < 4 * LARGE, `Two entries take ${left} bytes`);
  }, "second-store"),
];
