import { assert, assertEquals } from "@std/assert";
import { SqliteStore } from "../../src/sqlite/sqlite_store.ts";
import type { EventStore } from "../../src/store/mod.ts";
import { spawn } from "./_process.ts";
import { acks, entries, idOf, scratch, scratchStore, turn } from "./_scratch.ts";

const never = new AbortController().signal;

async function idsIn(store: EventStore): Promise<string[]> {
  return (await Array.fromAsync(store.read("Stream"))).flat().map(idOf);
}

Deno.test("SqliteStore keeps entries and deliveries when it is closed and opened again", async () => {
  using dir = scratch();
  const first = await SqliteStore.open(dir.file);
  const member = await first.member("Stream", "group", { consumer: "a", lease: 30_000, startFrom: "beginning" });
  await first.append("Stream", entries(10));
  const { records } = await member.claim({ limit: 4, signal: never });
  await member.settle(acks(records.slice(0, 3)));
  await member.leave();
  await first[Symbol.asyncDispose]();

  await using again = await SqliteStore.open(dir.file);
  assertEquals((await idsIn(again)).length, 10);
  const successor = await again.member("Stream", "group", { consumer: "a", lease: 30_000, startFrom: "now" });
  const returned = await successor.claim({ limit: 10, signal: never });
  assertEquals(returned.records.map(idOf), ["3"]);
  assertEquals((await successor.claim({ limit: 10, signal: never })).records.map(idOf), ["4", "5", "6", "7", "8", "9"]);
});

Deno.test("SqliteStore keeps acknowledged batches whole when the process is killed", async () => {
  using dir = scratch();
  for (let round = 0; round < 3; round++) {
    const file = `${dir.path}/${round}.db`;
    await using child = spawn("append-for-ever", file);
    let acknowledged = 0;
    while (acknowledged < 20 + 17 * round) acknowledged = Number((await child.lines.next()).value) + 1;
    await child.kill();

    await using store = await SqliteStore.open(file);
    const ids = await idsIn(store);
    assert(ids.length >= 20 * acknowledged, `${ids.length} entries of ${acknowledged} batches`);
    assertEquals(ids, entries(ids.length).map((fields) => fields[1]));
    assertEquals(ids.length % 20, 0);
  }
});

Deno.test("SqliteStore lets two processes append to one file and claim from it", async () => {
  await using opened = await scratchStore();
  const { store, file } = opened;
  const children = [spawn("compete", file, "a"), spawn("compete", file, "b")];
  const got: string[] = [];
  try {
    // Both processes join before they append, so both have joined when all entries are there.
    while ((await store.admin("Stream").info()).length < 2_000) await new Promise((resolve) => setTimeout(resolve, 20));
    await store.append("Stream", [["id", "end"]]);
    for (const { lines } of children) {
      for (let line = await lines.next(); !line.done; line = await lines.next()) got.push(...line.value.split(","));
    }
  } finally {
    for (const child of children) await child[Symbol.asyncDispose]();
  }
  const appended = (await idsIn(store)).filter((id) => id !== "end");
  assertEquals(appended.length, 2_000);
  assertEquals(got.filter((id) => id !== "end").sort(), appended.toSorted());
  for (const name of ["a", "b"]) {
    // The entries of one process are in the order in which it appended them.
    const own = appended.filter((id) => id.startsWith(name)).map((id) => Number(id.slice(1)));
    assertEquals(own, own.toSorted((x, y) => x - y));
  }
});

Deno.test("SqliteStore gives the deliveries of a killed process to another one after its lease, and counts no attempt", async () => {
  await using opened = await scratchStore();
  const { store, file } = opened;
  await store.append("Stream", entries(5));
  await using child = spawn("hold", file);
  assertEquals((await child.lines.next()).value, "0,1,2,3,4");
  await child.kill();
  const member = await store.member("Stream", "group", { consumer: "heir", lease: 30_000, startFrom: "beginning" });
  const { records } = await member.claim({ limit: 10, signal: never });
  assertEquals(
    records.map(({ attempt, recovered, ...record }) => [idOf(record), attempt, recovered]),
    ["0", "1", "2", "3", "4"].map((id) => [id, 1, 1]),
  );
});

Deno.test("SqliteStore wakes a waiting claim and a waiting read when another connection commits", async () => {
  await using opened = await scratchStore();
  const { store, file } = opened;
  await using other = await SqliteStore.open(file);
  const member = await store.member("Stream", "group", { consumer: "a", lease: 30_000, startFrom: "beginning" });
  // Without the wake-up nothing would end the claim and the read.
  const signal = AbortSignal.timeout(20_000);
  const followed = store.read("Stream", { follow: true, signal })[Symbol.asyncIterator]();
  for (let n = 0; n < 3; n++) {
    const waiting = Promise.all([member.claim({ limit: 1, signal }), followed.next()]);
    await turn();
    await other.append("Stream", entries(1, n));
    const [{ records }, page] = await waiting;
    assertEquals([records.map(idOf), page.value?.map(idOf)], [[`${n}`], [`${n}`]]);
    await member.settle(acks(records));
  }
  await followed.return?.();
});
