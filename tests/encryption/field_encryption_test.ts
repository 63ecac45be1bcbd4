import { assert, assertEquals, assertInstanceOf, assertNotEquals, assertRejects, assertThrows } from "@std/assert";
import { defineEvent, InMemoryBroker, PermanentError } from "@tidings/broker";
import { FieldEncryption, InMemoryKeyStore, type KeyStore, Shredded } from "@tidings/broker/encryption";

const EVENT = { type: "CardStored", subject: "bidder-1" };

interface Sealed {
  readonly $enc: string;
}

/** Encrypts a detail with this token. */
async function seal(encryption: FieldEncryption, token: unknown, event = EVENT): Promise<{ token: Sealed }> {
  return await encryption.seal({ token }, { ...event, paths: ["token"] }) as { token: Sealed };
}

function encryption(keys: KeyStore = new InMemoryKeyStore(), cacheFor?: number): FieldEncryption {
  return new FieldEncryption(cacheFor === undefined ? { keys } : { keys, cacheFor });
}

Deno.test("FieldEncryption decrypts any JSON value at its paths, through arrays, and leaves the rest readable", async () => {
  const cipher = encryption();
  const detail = {
    bid: 5,
    who: { name: "Ada", age: 36, tags: ["a", { b: null }] },
    cards: [{ token: "t1", last: 1 }, { token: 2 }, { last: 3 }, [{ token: false }]],
    note: "",
    nothing: null,
  };
  const before = structuredClone(detail);
  const paths = ["who", "who.name", "cards.token", "note", "nothing", "missing", "bid.deeper"];
  const sealed = await cipher.seal(detail, { ...EVENT, paths }) as typeof detail;
  assertEquals(detail, before);
  assertEquals(sealed.bid, 5);
  assertEquals(Object.keys(sealed), Object.keys(detail));
  assertEquals((sealed.cards[0] as { last: number }).last, 1);
  assertEquals(sealed.cards[2], { last: 3 });
  assertEquals(JSON.stringify(sealed).match(/\{"\$enc":"[\w-]+\.[\w-]{16}\.[\w-]+"\}/g)?.length, 6);
  // As in JSON, since base64 may contain a short text by chance.
  assert(!/"Ada"|:36|"t1"|:false/.test(JSON.stringify(sealed)));
  const stored = JSON.parse(JSON.stringify(sealed));
  assertEquals(await cipher.open(stored, EVENT), { detail, shredded: false });
});

Deno.test("FieldEncryption encrypts the same value differently each time", async () => {
  const cipher = encryption();
  const texts = await Promise.all(Array.from({ length: 200 }, async () => (await seal(cipher, "t")).token.$enc));
  const parts = texts.map((text) => text.split("."));
  assertEquals(new Set(parts.map(([id]) => id)).size, 1);
  assertEquals(new Set(parts.map(([, iv]) => iv)).size, 200);
  assertEquals(new Set(parts.map(([, , bytes]) => bytes)).size, 200);
});

Deno.test("FieldEncryption refuses a value that was changed, or moved to another field, path, subject or type", async () => {
  const keys = new InMemoryKeyStore();
  const cipher = encryption(keys);
  const { token } = await seal(cipher, "secret");
  const refused = async (detail: unknown, event = EVENT) => {
    const error = await assertRejects(() => cipher.open(detail, event), PermanentError);
    assert(!error.message.includes("secret"), error.message);
  };
  await refused({ other: token });
  await refused({ token: [token] });
  await refused({ token }, { ...EVENT, type: "CardMoved" });
  const [id, iv, bytes] = token.$enc.split(".") as [string, string, string];
  const flipped = (text: string) => (text[0] === "A" ? "B" : "A") + text.slice(1);
  await refused({ token: { $enc: `${id}.${iv}.${flipped(bytes)}` } });
  await refused({ token: { $enc: `${id}.${flipped(iv)}.${bytes}` } });
  await refused({ token: { $enc: `${id}.${iv}.${bytes.slice(0, -4)}` } });
  // The ciphertext is bound to its subject, even if a key store returns the same key for another one.
  const one = await keys.current(EVENT.subject);
  const shared: KeyStore = { ...delegate(keys), find: () => Promise.resolve(one) };
  await assertRejects(() => encryption(shared).open({ token }, { ...EVENT, subject: "bidder-2" }), PermanentError);
  assertEquals(await cipher.open({ token }, EVENT), { detail: { token: "secret" }, shredded: false });
});

function delegate(keys: KeyStore): KeyStore {
  return {
    current: (subject) => keys.current(subject),
    find: (subject, id) => keys.find(subject, id),
    rotate: (subject) => keys.rotate(subject),
    delete: (subject) => keys.delete(subject),
  };
}

for (
  const [description, mark] of Object.entries({
    "a number": { $enc: 5 },
    "an empty text": { $enc: "" },
    "two parts": { $enc: "kid.iv" },
    "a short iv": { $enc: "kid.AAAA.AAAA" },
    "text that is no base64": { $enc: `kid.${"A".repeat(16)}.A` },
    "further keys": { $enc: `kid.${"A".repeat(16)}.AAAA`, more: 1 },
    "a key id with a path in it": { $enc: `../kid.${"A".repeat(16)}.AAAA` },
  })
) {
  Deno.test(`FieldEncryption names the path of a malformed $enc: ${description}`, async () => {
    const error = await assertRejects(() => encryption().open({ a: [{ b: mark }] }, EVENT), PermanentError);
    assert(error.message.startsWith("detail.a.0.b is not an encrypted value"), error.message);
  });
}

Deno.test("FieldEncryption refuses an entry without a subject, or nested too deep, as undecodable", async () => {
  const cipher = encryption();
  const sealed = await seal(cipher, "t");
  await assertRejects(() => cipher.open(sealed, { type: "CardStored", subject: undefined }), PermanentError, "subject");
  let deep: unknown = sealed;
  for (let level = 0; level < 100_000; level++) deep = [deep];
  await assertRejects(() => cipher.open(deep, EVENT), PermanentError, "levels deep");
});

Deno.test("FieldEncryption changes no prototype where a key is __proto__", async () => {
  const cipher = encryption();
  const detail = JSON.parse('{"__proto__":{"token":"t"},"constructor":{"prototype":"p"}}');
  const paths = ["__proto__.token", "constructor.prototype", "toString"];
  const stored = JSON.parse(JSON.stringify(await cipher.seal(detail, { ...EVENT, paths })));
  const { detail: opened } = await cipher.open(stored, EVENT);
  assertEquals(JSON.stringify(opened), JSON.stringify(detail));
  assertEquals(Object.getPrototypeOf(opened), Object.prototype);
  assertEquals("token" in {}, false);
});

Deno.test("FieldEncryption decodes only values whose key was deleted to Shredded", async () => {
  const keys = new InMemoryKeyStore();
  const cipher = encryption(keys);
  const [ada, bob] = [await seal(cipher, "a"), await seal(cipher, "b", { ...EVENT, subject: "bidder-2" })];
  assertEquals(await cipher.delete("bidder-1"), true);
  const { detail, shredded } = await cipher.open(ada, EVENT);
  assertEquals(shredded, true);
  assertInstanceOf((detail as { token: unknown }).token, Shredded);
  assertEquals(JSON.stringify(detail), '{"token":"[shredded]"}');
  assertEquals(Deno.inspect(detail), "{ token: [shredded] }");
  assertEquals(`${(detail as { token: unknown }).token}`, "[shredded]");
  assertEquals((await cipher.open(bob, { ...EVENT, subject: "bidder-2" })).detail, { token: "b" });
  assertEquals(await cipher.delete("bidder-1"), false);
  // Later events of the subject have a new key.
  const later = await seal(cipher, "later");
  assertEquals((await cipher.open(later, EVENT)).detail, { token: "later" });
  assertEquals((await cipher.open(ada, EVENT)).shredded, true);
});

Deno.test("rotate() encrypts new values with a new key, and old values stay readable", async () => {
  const cipher = encryption();
  const old = await seal(cipher, "old");
  const id = await cipher.rotate("bidder-1");
  const fresh = await seal(cipher, "fresh");
  assertEquals(fresh.token.$enc.split(".")[0], id);
  assertNotEquals(old.token.$enc.split(".")[0], id);
  assertEquals((await cipher.open(old, EVENT)).detail, { token: "old" });
  assertEquals((await cipher.open(fresh, EVENT)).detail, { token: "fresh" });
});

Deno.test("FieldEncryption caches a key for cacheFor, even after another process deleted it", async () => {
  const keys = new InMemoryKeyStore();
  const [remembers, asks] = [encryption(keys), encryption(keys, 0)];
  const sealed = await seal(remembers, "t");
  assertEquals((await asks.open(sealed, EVENT)).shredded, false);
  await keys.delete("bidder-1");
  assertEquals((await remembers.open(sealed, EVENT)).shredded, false);
  assertEquals((await asks.open(sealed, EVENT)).shredded, true);
});

Deno.test("A key store is asked once for many events, and again after it failed", async () => {
  const keys = new InMemoryKeyStore();
  let [asked, isUnreachable] = [0, true];
  const counted: KeyStore = {
    ...delegate(keys),
    current: (subject) => {
      asked++;
      return isUnreachable ? Promise.reject(new Error("The key store is unreachable")) : keys.current(subject);
    },
  };
  const cipher = encryption(counted);
  const error = await assertRejects(() => seal(cipher, "t"), Error, "The key store is unreachable");
  assert(!(error instanceof PermanentError));
  isUnreachable = false;
  const all = await Promise.all(Array.from({ length: 50 }, (_, n) => seal(cipher, n)));
  assertEquals(asked, 2);
  for (const [n, sealed] of all.entries()) assertEquals((await cipher.open(sealed, EVENT)).detail, { token: n });
});

Deno.test("A key that is looked up while it is deleted is not cached", async () => {
  const keys = new InMemoryKeyStore();
  const sealed = await seal(encryption(keys), "t");
  const [asked, reply] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const slow: KeyStore = {
    ...delegate(keys),
    find: async (subject, id) => {
      const found = await keys.find(subject, id);
      asked.resolve();
      await reply.promise;
      return found;
    },
  };
  const cipher = encryption(slow);
  const early = cipher.open(sealed, EVENT);
  await asked.promise;
  await cipher.delete("bidder-1");
  reply.resolve();
  assertEquals((await early).shredded, false);
  assertEquals((await cipher.open(sealed, EVENT)).shredded, true);
});

Deno.test("FieldEncryption refuses malformed options and keys", async () => {
  assertThrows(() => new FieldEncryption({} as { keys: KeyStore }), TypeError, "key store");
  assertThrows(() => encryption(new InMemoryKeyStore(), NaN), RangeError, "cacheFor");
  const bad = (id: string, bytes: number): KeyStore => ({
    ...delegate(new InMemoryKeyStore()),
    current: () => Promise.resolve({ id, secret: new Uint8Array(bytes) }),
  });
  await assertRejects(() => seal(encryption(bad("a.b", 32)), "t"), TypeError, "its id must be");
  await assertRejects(() => seal(encryption(bad("a", 16)), "t"), TypeError, "it has 16 bytes; give 32");
  await assertRejects(() => seal(encryption(), { $enc: "x" }), TypeError, 'detail.token has the key "$enc"');
});

class CardStored extends defineEvent("CardStored", { sensitive: ["token"], encrypt: true })<{
  token: string | Shredded;
  more?: unknown;
}> {}
class Plain extends defineEvent("Plain")<{ value: unknown }> {}

Deno.test("A shredded value cannot be published again, nor a detail with $enc of any class of an encrypting broker", async () => {
  await using broker = new InMemoryBroker({ events: [CardStored, Plain], encryption: encryption() });
  const subject = "bidder-1";
  await assertRejects(
    () => broker.publish(new CardStored({ token: new Shredded() }, { subject })),
    TypeError,
    "Cannot encode detail.token: it is an instance of Shredded",
  );
  const error = await assertRejects(() =>
    broker.publish(new CardStored({ token: "t", more: [{ $enc: "x" }] }, { subject }))
  );
  assert((error as Error).message.includes('detail.more.0 has the key "$enc"'), (error as Error).message);
  await assertRejects(async () => await broker.publish(new Plain({ value: { $enc: 1 } })), TypeError, '"$enc"');
  const texts = ["$enc", '"$enc":', '{"$enc":"x"}'];
  await broker.publish(texts.map((value) => new Plain({ value })));
  assertEquals(await Array.fromAsync(broker.history(Plain), ({ detail }) => detail.value), texts);
  assertEquals((await broker.info(CardStored)).length, 0);
});

Deno.test("A class that encrypts needs a subject, paths and a broker with encryption", () => {
  assertThrows(() => new CardStored({ token: "t" }), TypeError, "without a subject");
  assertThrows(() => defineEvent("Bare", { encrypt: true }), TypeError, "name the paths to encrypt there");
  assertThrows(() => new InMemoryBroker({ events: [CardStored] }), TypeError, "pass encryption");
});
