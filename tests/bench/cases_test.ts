import { assertEquals } from "@std/assert";
import { BARS } from "../../bench/_bars.ts";
import { idOf } from "../../bench/_case.ts";
import { chooseCases } from "../../bench/_cases.ts";

const all = chooseCases(/./, false);

Deno.test("cases of the bench have unique names", () => {
  const ids = all.map(idOf);
  assertEquals(ids.filter((id, index) => ids.indexOf(id) !== index), []);
});

Deno.test("a case of the bench is compared with cases of its group", () => {
  const ids = new Set(all.map(idOf));
  const missing = all.flatMap(({ group, against = [] }) => against.map((name) => idOf({ group, name })))
    .filter((id) => !ids.has(id));
  assertEquals(missing, []);
});

Deno.test("each bar belongs to a case", () => {
  // @db/redis has a bar under its name and one under the name of its stand-in. Only one of the two has a case here.
  const lost = BARS.filter(({ row, text }) => !/@db\/redis/.test(row.source + text))
    .filter(({ row }) => !all.some((each) => row.test(idOf(each))));
  assertEquals(lost.map(({ row }) => row.source), []);
});

Deno.test("chooseCases() adds the cases that a chosen case is compared with", () => {
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

Deno.test("chooseCases() leaves out slow cases when it must be quick", () => {
  assertEquals(all.filter(({ slow }) => slow).length, 2);
  assertEquals(chooseCases(/./, true).filter(({ slow }) => slow), []);
});
