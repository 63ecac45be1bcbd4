import { assert, assertEquals, assertNotEquals, assertRejects, assertThrows } from "@std/assert";
import { InMemoryKeyStore, type KeyStore } from "@tidings/broker/encryption";
import { SqliteKeyStore } from "@tidings/broker/encryption/sqlite";
import { DatabaseSync } from "node:sqlite";
import { join } from "node:path";
import { bytesIn, holds } from "./_bytes.ts";
import { TempDir } from "./_bench.ts";

const masterKey = crypto.getRandomValues(new Uint8Array(32));

const STORES: Record<string, (folder: TempDir) => KeyStore & Partial<Disposable>> = {
  InMemoryKeyStore: () => new InMemoryKeyStore(),
  SqliteKeyStore: ({ path }) => new SqliteKeyStore(join(path, "keys.db"), { masterKey }),
};

for (const [name, open] of Object.entries(STORES)) {
  const testKeys = (title: string, body: (keys: KeyStore) => Promise<void>) =>
    Deno.test(`${name} ${title}`, async () => {
      await using folder = await TempDir.make();
      const keys = open(folder);
      try {
        await body(keys);
      } finally {
        keys[Symbol.dispose]?.();
      }
    });

  testKeys("returns the same key to concurrent calls, and another key for each subject", async (keys) => {
    const all = await Promise.all(Array.from({ length: 20 }, () => keys.current("ada")));
    assertEquals(new Set(all.map(({ id }) => id)).size, 1);
    assertEquals(all[0]!.secret.length, 32);
    const bob = await keys.current("bob");
    assertNotEquals(bob.id, all[0]!.id);
    assertNotEquals(bob.secret, all[0]!.secret);
  });

  testKeys("finds keys of a subject by their ids, also after rotate()", async (keys) => {
    const first = await keys.current("ada");
    const second = await keys.rotate("ada");
    assertEquals(await keys.current("ada"), second);
    assertEquals(await keys.find("ada", first.id), first);
    assertEquals(await keys.find("ada", second.id), second);
    assertEquals(await keys.find("bob", first.id), undefined);
    assertEquals(await keys.find("ada", "none"), undefined);
  });

  testKeys("deletes all keys of one subject, which then gets a new key", async (keys) => {
    const [first, second] = [await keys.current("ada"), await keys.rotate("ada")];
    const bob = await keys.current("bob");
    assertEquals(await keys.delete("ada"), true);
    assertEquals(await keys.delete("ada"), false);
    assertEquals(await keys.find("ada", first.id), undefined);
    assertEquals(await keys.find("ada", second.id), undefined);
    assertEquals(await keys.find("bob", bob.id), bob);
    assert(![first.id, second.id].includes((await keys.current("ada")).id));
  });
}

Deno.test("SqliteKeyStore keeps its keys in the file, encrypted", async () => {
  await using folder = await TempDir.make();
  const path = join(folder.path, "keys.db");
  const { id, secret } = await withKeyStore(path, (keys) => keys.current("ada"));
  assertEquals(await withKeyStore(path, (keys) => keys.find("ada", id)), { id, secret });
  assertEquals(holds(await bytesIn(folder.path), secret), false);
});

Deno.test("SqliteKeyStore overwrites deleted keys in the file", async () => {
  await using folder = await TempDir.make();
  const path = join(folder.path, "keys.db");
  await withKeyStore(path, async (keys) => {
    await keys.current("ada");
    await keys.current("bob");
  });
  using db = { raw: new DatabaseSync(path), [Symbol.dispose]: () => db.raw.close() };
  const { wrapped } = db.raw.prepare("SELECT wrapped FROM keys WHERE subject = 'ada'").get() as { wrapped: Uint8Array };
  assertEquals(holds(await bytesIn(folder.path), wrapped), true);
  await withKeyStore(path, (keys) => keys.delete("ada"));
  assertEquals(holds(await bytesIn(folder.path), wrapped), false);
});

Deno.test("SqliteKeyStore reports a wrong master key and a changed entry", async () => {
  await using folder = await TempDir.make();
  const path = join(folder.path, "keys.db");
  await withKeyStore(path, (keys) => keys.current("ada"));
  using other = new SqliteKeyStore(path, { masterKey: new Uint8Array(32) });
  await assertRejects(() => other.current("ada"), Error, "encrypted by another master key, or changed");
  // A row that was copied to another subject is refused.
  using keys = new SqliteKeyStore(path, { masterKey });
  using db = { raw: new DatabaseSync(path), [Symbol.dispose]: () => db.raw.close() };
  db.raw.exec("INSERT INTO keys (subject, id, wrapped) SELECT 'mallory', id, wrapped FROM keys");
  await assertRejects(() => keys.current("mallory"), Error, "changed");
});

Deno.test("SqliteKeyStore refuses other files, newer formats, and malformed options", async () => {
  await using folder = await TempDir.make();
  const path = join(folder.path, "other.db");
  const db = new DatabaseSync(path);
  db.exec("CREATE TABLE events (id)");
  db.close();
  const before = await Deno.readFile(path);
  assertThrows(() => new SqliteKeyStore(path, { masterKey }), TypeError, "it is a file of another kind");
  assertEquals(await Deno.readFile(path), before);
  assertThrows(() => new SqliteKeyStore(folder.path, { masterKey }), Error, "Cannot open the key store");
  const fresh = join(folder.path, "keys.db");
  assertThrows(() => new SqliteKeyStore(fresh, { masterKey: masterKey.slice(1) }), RangeError, "31 bytes");
  assertThrows(() => new SqliteKeyStore(fresh, { masterKey: "x".repeat(32) as never }), TypeError, "master key");
  assertThrows(() => new SqliteKeyStore(fresh, { masterKey, busyTimeout: NaN }), RangeError, "busyTimeout");
});

Deno.test("SqliteKeyStore rejects while another process locks the file for too long, and works afterwards", async () => {
  await using folder = await TempDir.make();
  const path = join(folder.path, "keys.db");
  using keys = new SqliteKeyStore(path, { masterKey, busyTimeout: 20 });
  await keys.current("ada");
  using db = { raw: new DatabaseSync(path), [Symbol.dispose]: () => db.raw.close() };
  db.raw.exec("BEGIN EXCLUSIVE");
  for (const call of ["current", "rotate", "delete"] as const) {
    await assertRejects(() => keys[call]("bob"), Error, "locked");
  }
  db.raw.exec("ROLLBACK");
  assertEquals((await keys.current("bob")).secret.length, 32);
});

async function withKeyStore<T>(path: string, use: (keys: SqliteKeyStore) => Promise<T>): Promise<T> {
  using keys = new SqliteKeyStore(path, { masterKey });
  return await use(keys);
}
