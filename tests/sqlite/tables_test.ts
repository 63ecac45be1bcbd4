import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { DatabaseSync } from "node:sqlite";
import { decodeFields, encodeFields } from "../../src/sqlite/entries/_records.ts";
import { type Fields, isPosition, type Position } from "../../src/store/mod.ts";
import { acks, entries, idOf, scratchStore } from "./_scratch.ts";

const never = new AbortController().signal;

const texts = fc.oneof(
  fc.string({ unit: "binary" }),
  fc.constantFrom("id", "payload", "", "\0", "a\0b", "\ud800", "x\udc00y", "🎉", "[]", "null"),
);

Deno.test("decodeFields() returns the fields that encodeFields() was given", () => {
  fc.assert(fc.property(fc.array(texts, { maxLength: 8 }), texts, texts, (rest, id, payload) => {
    for (const fields of [rest, ["id", id, "payload", payload, ...rest], ["id", id, ...rest]]) {
      const [idColumn, payloadColumn, fieldsColumn] = encodeFields(fields);
      assertEquals(decodeFields({ id: idColumn, payload: payloadColumn, fields: fieldsColumn }), fields);
    }
  }));
});

Deno.test("read() returns unusual fields exactly as append() stored them", async () => {
  await using opened = await scratchStore();
  const odd: Fields[] = [
    [],
    ["id"],
    ["id", "1", "payload"],
    ["id", "1", "payload", "{}", "odd"],
    ["id", "1", "payload", "{}", "id", "2", "payload", "[]"],
    ["payload", "{}", "id", "1"],
    ["id", "a\0b", "payload", "\ud800"],
    ["id", "\ufeff", "payload", "é\u{1f389}", "", ""],
    ["id", "", "payload", "x".repeat(1_000_000)],
  ];
  await opened.store.append("Stream", odd);
  assertEquals((await Array.fromAsync(opened.store.read("Stream"))).flat().map(({ fields }) => fields), odd);
});

Deno.test("the view events has a row for each entry", async () => {
  await using opened = await scratchStore({ now: () => 1_700_000_000_000 });
  await opened.store.append("Stream", [["id", "1", "payload", '{"price":1}', "version", "2"]]);
  const db = new DatabaseSync(opened.file, { readOnly: true });
  assertEquals({ ...db.prepare("SELECT * FROM events").get() }, {
    stream: "Stream",
    position: "1700000000000-0",
    id: "1",
    payload: '{"price":1}',
    fields: '["version","2"]',
  });
  db.close();
});

Deno.test("read(), member() and rewind() accept positions above all entries", async () => {
  await using opened = await scratchStore();
  const { store } = opened;
  await store.append("Stream", entries(3));
  const last: Position = "18446744073709551615-18446744073709551615" as Position;
  assertEquals(isPosition(last), true);
  const length = async (range: Parameters<typeof store.read>[1]) =>
    (await Array.fromAsync(store.read("Stream", range))).flat().length;
  assertEquals(await length({ to: last }), 3);
  assertEquals(await length({ after: last }), 0);
  assertEquals(await length({ from: last }), 0);
  assertEquals(await length({ from: "0-18446744073709551615" as Position, to: last, reverse: true }), 3);
  await store.member("Stream", "group", { consumer: "a", lease: 1_000, startFrom: last });
  assertEquals((await store.admin("Stream").info()).groups[0]!.lag, 0);
  assertEquals(await store.admin("Stream").rewind("group", last), { dropped: 0, first: undefined });
});

Deno.test("trim(), list() and redrive() go on after one transaction or page", async () => {
  await using opened = await scratchStore();
  const { store } = opened;
  const admin = store.admin("Stream");
  for (let n = 0; n < 5_000; n += 500) await store.append("Stream", entries(500, n));
  const member = await store.member("Stream", "group", { consumer: "a", lease: 30_000, startFrom: "beginning" });
  const { records } = await member.claim({ limit: 250, signal: never });
  await member.settle(
    records.map(({ position, fence }) => ({
      kind: "dead",
      position,
      fence,
      reason: "permanent",
      attempts: 1,
      error: { name: "Error", message: "no" },
    })),
  );
  assertEquals(await admin.trim({ maxLength: 0 }), { removed: 250, pinnedBy: "group" });
  assertEquals(await admin.trim({ maxLength: 10, force: true }), { removed: 4_740, pinnedBy: undefined });
  assertEquals((await Array.fromAsync(admin.deadLetters("group").list())).map((page) => page.length), [100, 100, 50]);
  assertEquals(await admin.deadLetters("group").redrive(), 250);
  const again = await member.claim({ limit: 500, signal: never });
  assertEquals(again.records.map(idOf), records.map(idOf));
  assertEquals(await member.settle(acks(again.records)), []);
});

Deno.test("claim() skips entries that were deleted by hand", async () => {
  await using opened = await scratchStore();
  const { store, file } = opened;
  await store.append("Stream", entries(6));
  const member = await store.member("Stream", "group", { consumer: "a", lease: 30_000, startFrom: "beginning" });
  const { records } = await member.claim({ limit: 2, signal: never });
  const db = new DatabaseSync(file);
  db.exec("DELETE FROM entry WHERE id IN ('0', '3', '5')");
  db.close();
  await member.settle(records.map(({ position, fence }) => ({ kind: "release", position, fence })));
  const returned = await member.claim({ limit: 10, signal: never });
  assertEquals([returned.records.map(idOf), returned.missing], [["1"], [records[0]!.position]]);
  assertEquals((await member.claim({ limit: 2, signal: never })).records.map(idOf), ["2", "4"]);
  const waiting = member.claim({ limit: 2, signal: never });
  await store.append("Stream", entries(1, 6));
  assertEquals((await waiting).records.map(idOf), ["6"]);
});
