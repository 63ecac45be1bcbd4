import { assertEquals } from "@std/assert";
import { DatabaseSync } from "node:sqlite";
import { SqliteStore } from "../../src/sqlite/sqlite_store.ts";
import type { EventStore, GroupMember } from "../../src/store/mod.ts";
import { acks, entries, idOf, scratch, scratchStore } from "./_scratch.ts";

const never = new AbortController().signal;

function join(store: EventStore, group = "group", consumer = "a"): Promise<GroupMember> {
  return store.member("Stream", group, { consumer, lease: 30_000, startFrom: "beginning" });
}

function deleteByHand(file: string, ...ids: string[]): void {
  const db = new DatabaseSync(file);
  db.exec(`DELETE FROM entry WHERE id IN (${ids.map((id) => `'${id}'`)})`);
  db.close();
}

Deno.test("claim() reports unread entries that a forced trim removed, once for each group", async () => {
  await using opened = await scratchStore();
  const { store } = opened;
  const all = await store.append("Stream", entries(6));
  const ahead = await join(store, "ahead");
  await ahead.settle(acks((await ahead.claim({ limit: 2, signal: never })).records));
  const behind = await join(store, "behind");
  await store.admin("Stream").trim({ maxLength: 2, force: true });
  const claim = await ahead.claim({ limit: 1, signal: never });
  assertEquals(claim.removed, { from: all[2]!, to: all[3]!, count: 2 });
  assertEquals(claim.records.map(idOf), ["4"]);
  assertEquals((await ahead.claim({ limit: 1, signal: never })).removed, undefined);
  assertEquals((await behind.claim({ limit: 1, signal: never })).removed, { from: all[0]!, to: all[3]!, count: 4 });
});

Deno.test("claim() of one member reports removed entries after the store was opened again", async () => {
  using dir = scratch();
  const before = await SqliteStore.open(dir.file);
  const all = await before.append("Stream", entries(4));
  await (await join(before)).leave();
  await before.admin("Stream").trim({ maxLength: 3, force: true });
  await before.admin("Stream").trim({ maxLength: 1, force: true });
  await before[Symbol.asyncDispose]();
  await using store = await SqliteStore.open(dir.file);
  const [a, b] = [await join(store, "group", "a"), await join(store, "group", "b")];
  assertEquals((await a.claim({ limit: 1, signal: never })).removed, { from: all[0]!, to: all[2]!, count: 3 });
  const waiting = b.claim({ limit: 1, signal: never });
  await store.append("Stream", entries(1, 4));
  assertEquals((await waiting).removed, undefined);
});

Deno.test("claim() reports unread rows that another tool deleted, and wakes up for that", async () => {
  await using opened = await scratchStore();
  const { store, file } = opened;
  const all = await store.append("Stream", entries(6));
  const member = await join(store);
  await member.claim({ limit: 2, signal: never });
  deleteByHand(file, "0", "3", "5");
  const { records, removed } = await member.claim({ limit: 1, signal: never });
  assertEquals([records.map(idOf), removed], [["2"], { from: all[3]!, to: all[5]!, count: 2 }]);
  assertEquals((await member.claim({ limit: 9, signal: never })).removed, undefined);
  const idle = await join(store, "idle");
  assertEquals((await idle.claim({ limit: 9, signal: never })).removed, undefined, "deleted before the group was made");
  const waiting = idle.claim({ limit: 1, signal: never });
  const db = new DatabaseSync(file);
  // One transaction, so that no member can read the entry before it is deleted.
  db.exec(`BEGIN IMMEDIATE;
    INSERT INTO entry (stream, n, ms, seq, id, payload) SELECT id, next_n, 9000000000000, 0, 'x', '{}' FROM stream;
    UPDATE stream SET next_n = next_n + 1;
    DELETE FROM entry WHERE id = 'x';
    COMMIT`);
  db.close();
  assertEquals((await waiting).removed, { from: "9000000000000-0", to: "9000000000000-0", count: 1 });
});

Deno.test("claim() reports no removed entries after a trim without force, or after a rewind to removed entries", async () => {
  await using opened = await scratchStore();
  const { store } = opened;
  const all = await store.append("Stream", entries(4));
  const member = await join(store);
  await member.settle(acks((await member.claim({ limit: 2, signal: never })).records));
  assertEquals((await store.admin("Stream").trim({ maxLength: 0 })).removed, 2);
  await store.admin("Stream").rewind("group", all[0]!);
  const { records, removed } = await member.claim({ limit: 9, signal: never });
  assertEquals([records.map(idOf), removed], [["2", "3"], undefined]);
});
