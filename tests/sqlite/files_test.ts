import { assert, assertEquals, assertRejects } from "@std/assert";
import { DatabaseSync } from "node:sqlite";
import { SqliteStore } from "../../src/sqlite/sqlite_store.ts";
import { StoreError } from "../../src/store/mod.ts";
import { acks, entries, idOf, scratch, scratchStore, turn } from "./_scratch.ts";

function sql(file: string, statements: string): void {
  const db = new DatabaseSync(file);
  db.exec(statements);
  db.close();
}

/** Asserts that `open` rejects with an error that names the file and contains these texts. */
async function assertRefused(file: string, ...texts: string[]): Promise<Error> {
  const error = await assertRejects(() => SqliteStore.open(file, { busyTimeout: 100 }), Error);
  for (const text of [file, ...texts]) assert(error.message.includes(text), `"${error.message}" has no "${text}"`);
  return error;
}

Deno.test("open() creates missing directories and the file, and only that file stays after the close", async () => {
  using dir = scratch();
  const file = `${dir.path}/some/where/x.db`;
  const store = await SqliteStore.open(file);
  await store.append("Stream", entries(1));
  await store[Symbol.asyncDispose]();
  await store[Symbol.asyncDispose]();
  assertEquals([...Deno.readDirSync(`${dir.path}/some/where`)].map(({ name }) => name), ["x.db"]);
});

Deno.test("open() accepts an empty file", async () => {
  using dir = scratch();
  Deno.writeTextFileSync(dir.file, "");
  await using store = await SqliteStore.open(dir.file);
  assertEquals((await store.append("Stream", entries(1))).length, 1);
});

Deno.test("open() refuses a file that is not a database, and does not change it", async () => {
  using dir = scratch();
  const text = "Not a database.\n".repeat(1_000);
  Deno.writeTextFileSync(dir.file, text);
  const error = await assertRefused(dir.file, "not an SQLite database", "choose another path");
  assert(error.cause instanceof Error);
  assertEquals(Deno.readTextFileSync(dir.file), text);
});

Deno.test("open() refuses the database of another program, and does not change it", async () => {
  using dir = scratch();
  for (const [name, id] of [["unmarked.db", 0], ["marked.db", 42]] as const) {
    const file = `${dir.path}/${name}`;
    sql(file, `CREATE TABLE theirs (a); PRAGMA application_id = ${id}`);
    const before = Deno.readFileSync(file);
    await assertRefused(file, "of another program", "choose another file");
    assertEquals(Deno.readFileSync(file), before);
  }
});

Deno.test("open() refuses a file with a newer schema", async () => {
  using dir = scratch();
  await (await SqliteStore.open(dir.file))[Symbol.asyncDispose]();
  sql(dir.file, "PRAGMA user_version = 999");
  await assertRefused(dir.file, "version 999", "upgrade");
});

Deno.test("open() upgrades a file with an earlier schema, and keeps its entries", async () => {
  using dir = scratch();
  const never = new AbortController().signal;
  const options = { lease: 1_000, startFrom: "beginning" } as const;
  const before = await SqliteStore.open(dir.file);
  await before.append("Stream", entries(2));
  await before.member("Stream", "group", { consumer: "a", ...options });
  await before[Symbol.asyncDispose]();
  sql(
    dir.file,
    `DROP TRIGGER letter_removed;
     DROP INDEX delivery_waits;
     DROP INDEX letter_holds;
     DROP INDEX letter_holds_from;
     ALTER TABLE consumer_group DROP COLUMN when_dead;
     ALTER TABLE consumer_group DROP COLUMN freed;
     ALTER TABLE delivery DROP COLUMN waits_for;
     ALTER TABLE letter DROP COLUMN holds;
     ALTER TABLE letter DROP COLUMN key;
     DROP INDEX delivery_version;
     DROP INDEX delivery_deferred;
     DROP TRIGGER entry_removed;
     DROP TABLE scheduled;
     DROP TABLE schedule;
     DROP TABLE state;
     DROP TABLE rate;
     DROP INDEX entry_revision;
     DROP TABLE subject;
     ALTER TABLE entry DROP COLUMN subject;
     ALTER TABLE entry DROP COLUMN revision;
     ALTER TABLE batch DROP COLUMN revisions;
     ALTER TABLE batch DROP COLUMN conflict;
     ALTER TABLE consumer_group DROP COLUMN exclusive;
     ALTER TABLE stream DROP COLUMN layout;
     ALTER TABLE stream DROP COLUMN bytes;
     ALTER TABLE consumer_group DROP COLUMN types;
     ALTER TABLE consumer_group DROP COLUMN skipped;
     ALTER TABLE consumer_group DROP COLUMN removed;
     ALTER TABLE consumer_group DROP COLUMN removed_from_ms;
     ALTER TABLE consumer_group DROP COLUMN removed_from_seq;
     ALTER TABLE consumer_group DROP COLUMN removed_to_ms;
     ALTER TABLE consumer_group DROP COLUMN removed_to_seq;
     ALTER TABLE consumer_group DROP COLUMN control;
     ALTER TABLE consumer_group DROP COLUMN control_version;
     ALTER TABLE consumer_group DROP COLUMN expired;
     ALTER TABLE delivery DROP COLUMN kept;
     ALTER TABLE delivery DROP COLUMN version;
     ALTER TABLE delivery DROP COLUMN deferred_at;
     PRAGMA user_version = 1`,
  );
  // Two stores open it at once. Only one of them may upgrade it.
  const stores = await Promise.all([SqliteStore.open(dir.file), SqliteStore.open(dir.file)]);
  const [b, c] = await Promise.all(
    stores.map((store, nth) => store.member("Stream", "group", { consumer: "bc"[nth]!, ...options, version: nth + 1 })),
  );
  const { records } = await b!.claim({ limit: 2, signal: never });
  await b!.settle(records.map(({ position, fence }) => ({ kind: "defer", position, fence, version: 2 })));
  assertEquals((await c!.claim({ limit: 2, signal: never })).records.map(idOf), ["0", "1"]);
  const [unread] = await stores[0]!.append("Stream", entries(1));
  await stores[0]!.admin("Stream").trim({ maxLength: 0, force: true });
  assertEquals((await c!.claim({ limit: 2, signal: never })).removed, { from: unread!, to: unread!, count: 1 });
  assertEquals(await stores[0]!.state("Stream", "layout").write("text", 0), true);
  assertEquals(await stores[1]!.admin("Stream").fence(1), unread);
  assertEquals(await stores[0]!.admin("Stream").control("group").write("text", 0), true);
  const rate = { limit: 1, per: 60_000 };
  assertEquals((await stores[1]!.limiter("Stream", "group").take(rate, { count: 1, ahead: 0 })).delays, [0]);
  const producer = { id: "p", sequence: 1, decided: 0, known: false };
  const revised = entries(2).map((fields) => ({ fields, subject: "s" }));
  const appended = await stores[0]!.appendRevised("Stream", revised, { producer });
  assertEquals(await stores[1]!.appendRevised("Stream", revised, { producer }), appended);
  assertEquals(appended.map(({ revision }) => revision), [1, 2]);
  for (const store of stores) await store[Symbol.asyncDispose]();
});

Deno.test("open() refuses a directory, and a directory that cannot be created", async () => {
  using dir = scratch();
  await assertRefused(dir.path, "is no directory");
  Deno.writeTextFileSync(`${dir.path}/file`, "");
  const error = await assertRejects(() => SqliteStore.open(`${dir.path}/file/in/x.db`), Error, "choose another path");
  assert(error.message.includes(`${dir.path}/file/in`));
});

Deno.test("open() refuses a read-only file", async () => {
  using dir = scratch();
  await (await SqliteStore.open(dir.file))[Symbol.asyncDispose]();
  Deno.chmodSync(dir.file, 0o444);
  try {
    Deno.openSync(dir.file, { write: true }).close();
    return; // The superuser may write to it all the same.
  } catch {
    await assertRefused(dir.file, "read-only", "writable");
  }
});

Deno.test({
  name: "open() names the missing permission",
  permissions: "none",
  async fn() {
    const error = await assertRejects(() => SqliteStore.open("tidings-nowhere.db"), Error);
    assert(/--allow-(read|write)=\S*tidings-nowhere\.db/.test(error.message), error.message);
  },
});

Deno.test("open() refuses options that are out of range", async () => {
  using dir = scratch();
  const { file } = dir;
  await assertRejects(() => SqliteStore.open(":memory:"), RangeError, 'connect("memory:")');
  await assertRejects(() => SqliteStore.open(""), RangeError, "no file");
  await assertRejects(() => SqliteStore.open(file, { busyTimeout: -1 }), RangeError, "busyTimeout");
  for (const pollInterval of [0, NaN, Infinity]) {
    await assertRejects(() => SqliteStore.open(file, { pollInterval }), RangeError, "pollInterval");
  }
  await assertRejects(() => SqliteStore.open(file, { synchronous: "off" as "full" }), RangeError, "synchronous");
});

Deno.test("append(), settle() and claim() reject from the first call after the file was deleted", async () => {
  await using opened = await scratchStore();
  const { store, file } = opened;
  const member = await store.member("Stream", "group", { consumer: "a", lease: 30_000, startFrom: "beginning" });
  await store.append("Stream", entries(3));
  const { records } = await member.claim({ limit: 1, signal: new AbortController().signal });
  const kept = Deno.readFileSync(file);
  Deno.removeSync(file);
  const calls = [
    () => store.append("Stream", entries(1)),
    () => member.settle(acks(records)),
    () => member.claim({ limit: 1, signal: new AbortController().signal }),
  ];
  for (let round = 0; round < 2; round++) {
    for (const call of calls) {
      const error = await assertRejects(call, StoreError);
      assertEquals(error.kind, "storage-lost");
      for (const text of [file, "deleted or replaced", "open the store again"]) {
        assert(error.message.includes(text), error.message);
      }
    }
    Deno.writeFileSync(file, kept);
  }
});

for (const how of ["deleted", "renamed", "replaced"]) {
  Deno.test(`append() acknowledges no event after the file was ${how} under load`, async () => {
    await using opened = await scratchStore();
    const { store, file } = opened;
    await store.append("Stream", entries(1));
    let lost = false;
    let acknowledgedAfter = 0;
    const appending = Array.from({ length: 50 }, (_, n) =>
      store.append("Stream", entries(1, n)).then(() => {
        if (lost) acknowledgedAfter++;
      }, (error) => error));
    await appending[9];
    if (how === "deleted") Deno.removeSync(file);
    if (how === "renamed") Deno.renameSync(file, `${file}.moved`);
    if (how === "replaced") {
      Deno.writeTextFileSync(`${file}.new`, "");
      Deno.renameSync(`${file}.new`, file);
    }
    lost = true;
    // A commit before the change may be acknowledged in the same turn of the event loop.
    const later = Array.from({ length: 20 }, () => assertRejects(() => store.append("Stream", entries(1)), StoreError));
    await Promise.all([...appending, ...later]);
    assert(acknowledgedAfter <= 1, `${acknowledgedAfter} appends were acknowledged after the file was ${how}`);
  });
}

Deno.test("a waiting claim rejects when the file was replaced, and so do later calls", async () => {
  await using opened = await scratchStore();
  const { store, file } = opened;
  const member = await store.member("Stream", "group", { consumer: "a", lease: 30_000, startFrom: "beginning" });
  const waiting = assertRejects(
    () => member.claim({ limit: 1, signal: new AbortController().signal }),
    Error,
    "deleted or replaced",
  );
  await turn();
  Deno.renameSync(file, `${file}.moved`);
  Deno.writeTextFileSync(file, "");
  await waiting;
  await assertRejects(() => store.append("Stream", entries(1)), Error, "deleted or replaced");
});
