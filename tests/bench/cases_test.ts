import { assertEquals } from "@std/assert";
import { BARS } from "../../bench/_bars.ts";
import { idOf } from "../../bench/_case.ts";
import { chooseCases } from "../../bench/_cases.ts";

const all = chooseCases(/./, false);

Deno.test("cases of the bench have names of their own", () => {
  const ids = all.map(idOf);
  assertEquals(ids.filter((id, index) => ids.indexOf(id) !== index), []);
});

Deno.test("cases of the bench are compared with cases of their group", () => {
  const ids = new Set(all.map(idOf));
  const missing = all.flatMap(({ group, against = [] }) => against.map((name) => idOf({ group, name })))
    .filter((id) => !ids.has(id));
  assertEquals(missing, []);
});

Deno.test("every bar is one of a case that is run", () => {
  // Each client has a bar under its own name and under that of its stand-in, and only one of them is here.
  const lost = BARS.filter(({ row, text }) => !/@db\/redis/.test(row.source + text))
    .filter(({ row }) => !all.some((each) => row.test(idOf(each))));
  assertEquals(lost.map(({ row }) => row.source), []);
});

Deno.test("chooseCases() brings what a chosen case is compared with", () => {
  const chosen = chooseCases(/^publish 190 B, one at a time \/ tidings, node-redis$/, true);
  const names = chosen.map(({ name }) => name).sort();
  assertEquals(names, [
    "BullMQ",
    "moleculer-channels",
    "raw, node-redis",
    "redis-benchmark -P 1",
    "tidings, node-redis",
  ]);
});

Deno.test("chooseCases() leaves out what takes long when it has to be quick", () => {
  assertEquals(all.filter(({ slow }) => slow).length, 2);
  assertEquals(chooseCases(/./, true).filter(({ slow }) => slow), []);
});
