import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import vm from "node:vm";
import { maskOf } from "../../src/events/_mask.ts";
import { encodeDetail } from "../../src/events/_lossless.ts";

class Money {
  cents = 5;
}

Deno.test("encodeDetail() gives the JSON text of JSON values", () => {
  const shared = { x: 1 };
  for (
    const detail of [null, "a", "\ud800", 1.5, true, [], {}, [[]], { a: [1, { b: null }] }, { a: shared, b: shared }]
  ) {
    assertEquals(encodeDetail(detail), JSON.stringify(detail));
  }
  assertEquals(encodeDetail(undefined), "null");
  assertEquals(encodeDetail({ a: undefined, b: 1 }), '{"b":1}');
  assertEquals(encodeDetail(Object.assign(Object.create(null), { a: 1 })), '{"a":1}');
  assertEquals(encodeDetail(vm.runInNewContext("({ a: [1] })")), '{"a":[1]}');
  const own = JSON.parse('{"__proto__":{"a":1}}');
  assertEquals(JSON.parse(encodeDetail(own)), own);
});

Deno.test("encodeDetail() names the path and the reason of a value that JSON would lose", () => {
  const cases: [unknown, string][] = [
    [1n, "Cannot encode detail: it is a bigint"],
    [{ items: [0, 1, 2, { price: 1n }] }, "Cannot encode detail.items[3].price: it is a bigint"],
    [{ at: new Date() }, "detail.at: it is an instance of Date; give toISOString()"],
    [{ m: new Map() }, "detail.m: it is an instance of Map; give Object.fromEntries(map)"],
    [{ s: new Set() }, "detail.s: it is an instance of Set; give [...set]"],
    [{ b: new Uint8Array() }, "detail.b: it is an instance of Uint8Array; give base64"],
    [{ b: new ArrayBuffer(1) }, "an instance of ArrayBuffer; give base64"],
    [{ m: new Money() }, "detail.m: it is an instance of Money"],
    [new (class {})(), "detail: it is an instance of a class"],
    [{ e: new Error("x") }, "an instance of Error"],
    [{ n: Object(1) }, "an instance of Number"],
    [{ w: new WeakMap() }, "an instance of WeakMap"],
    [{ p: Promise.resolve() }, "an instance of Promise"],
    [new (class List extends Array {})(), "detail: it is an instance of List; give a plain array"],
    [{ toJSON: () => 1 }, "detail.toJSON: it is a function"],
    [{ f() {} }, "detail.f: it is a function"],
    [Symbol("x"), "detail: it is a symbol"],
    [{ [Symbol("key")]: 1 }, "detail: it has the key Symbol(key)"],
    [[1, undefined], "detail[1]: it is undefined"],
    [[1, , 2], "detail[1]: it is an empty slot"], // deno-lint-ignore no-sparse-arrays
    [{ a: NaN }, "detail.a: it is NaN"],
    [{ a: -Infinity }, "detail.a: it is -Infinity"],
    [/a(?<b>.)/.exec("ab"), "detail.groups: it is a named property of an array"],
    [Object.assign([1], { [Symbol("key")]: 1 }), "it has the key Symbol(key)"],
    [{ "a b": { "1": [1n] } }, 'detail["a b"]["1"][0]: it is a bigint'],
    [{ ["k".repeat(500)]: 1n }, `detail["${"k".repeat(120)}…"]: it is a bigint`],
  ];
  for (const [detail, message] of cases) assertThrows(() => encodeDetail(detail), TypeError, message);
});

Deno.test("encodeDetail() names the path at which a cycle closes", () => {
  const order: Record<string, unknown> = { id: 1 };
  order["items"] = [{ order }];
  assertThrows(() => encodeDetail(order), TypeError, "detail.items[0].order: it is the same object as detail, a cycle");
  const inner: unknown[] = [];
  inner.push(inner);
  assertThrows(
    () => encodeDetail({ inner }),
    TypeError,
    "detail.inner[0]: it is the same object as detail.inner, a cycle",
  );
});

Deno.test("encodeDetail() refuses a detail that is nested deeper than 500 levels", () => {
  const nested = (levels: number): unknown => levels === 1 ? [] : [nested(levels - 1)];
  assertEquals(encodeDetail(nested(500)).length, 1_000);
  assertThrows(() => encodeDetail(nested(501)), TypeError, "nested more than 500 levels deep");
  const error = assertThrows(() => encodeDetail(nested(5_000)), TypeError);
  assert(error.message.length < 300);
});

Deno.test("encodeDetail() ignores properties added to Object.prototype", () => {
  Object.defineProperty(Object.prototype, "extra", { value: () => 1, enumerable: true, configurable: true });
  try {
    assertEquals(encodeDetail({ a: 1 }), '{"a":1}');
  } finally {
    delete (Object.prototype as { extra?: unknown }).extra;
  }
});

Deno.test("encodeDetail() gives a text that parses to the same JSON value", () => {
  fc.assert(fc.property(fc.jsonValue(), (value) => {
    assert(same(JSON.parse(encodeDetail(value)), value));
  }));
});

Deno.test("encodeDetail() refuses a value, or gives a text that parses to the same value", () => {
  const anything = fc.anything({
    withBigInt: true,
    withBoxedValues: true,
    withDate: true,
    withMap: true,
    withSet: true,
    withSparseArray: true,
    withTypedArray: true,
    withNullPrototype: true,
    withObjectString: true,
  });
  fc.assert(
    fc.property(anything, (value) => {
      let text: string;
      try {
        text = encodeDetail(value);
      } catch (error) {
        assert(error instanceof TypeError && error.message.startsWith("Cannot encode detail"), String(error));
        return;
      }
      assert(same(JSON.parse(text), value), text);
    }),
    { numRuns: 1_000 },
  );
});

/** Equal except for intended differences: undefined properties, null prototypes, the sign of zero. */
function same(a: unknown, b: unknown): boolean {
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return a === (b ?? null);
  const keys = Object.keys(b).filter((key) => (b as Record<string, unknown>)[key] !== undefined);
  return Array.isArray(a) === Array.isArray(b) && Object.keys(a).length === keys.length &&
    keys.every((key) =>
      Object.hasOwn(a, key) && same((a as Record<string, unknown>)[key], (b as Record<string, unknown>)[key])
    );
}

Deno.test("encodeDetail() names no key below a sensitive path", () => {
  const mask = maskOf(["cards", "owner.names"]);
  const cycle: Record<string, unknown> = {};
  cycle["4111"] = { "5500": cycle };
  const cases: [unknown, string][] = [
    [{ cards: { "4111": 1n } }, "Cannot encode detail.cards.***: it is a bigint"],
    [{ cards: 1n }, "Cannot encode detail.cards: it is a bigint"],
    [{ owner: [{ names: { ada: { at: new Date() } } }] }, "Cannot encode detail.owner[0].names.***: it is an instance"],
    [{ owner: { age: { exact: 1n } } }, "Cannot encode detail.owner.age.exact: it is a bigint"],
    [{ cards: { [Symbol("4111")]: 1 } }, "Cannot encode detail.cards: it has a symbol as a key, which"],
    [{ [Symbol("free")]: 1 }, "Cannot encode detail: it has the key Symbol(free), which"],
    [{ cards: cycle }, "Cannot encode detail.cards.***: it is the same object as detail.cards, a cycle"],
    [{ cards: Object.assign([], { x4111: 1 }) }, "Cannot encode detail.cards.***: it is a named property"],
  ];
  for (const [detail, message] of cases) assertThrows(() => encodeDetail(detail, mask), TypeError, message);
});
