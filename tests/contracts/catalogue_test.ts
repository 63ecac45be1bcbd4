import { assertEquals, assertExists } from "@std/assert";
import { defineEvent } from "@tidings/broker";
import { asyncApi, catalogue, compare } from "@tidings/broker/contracts";
import { type } from "npm:arktype@^2.2";
import * as v from "npm:valibot@^1";
import { z } from "zod";
import { validator } from "./_ajv.ts";

const SCHEMAS = {
  zod: z.object({ name: z.string(), age: z.number().optional() }),
  valibot: v.object({ name: v.string(), age: v.optional(v.number()) }),
  arktype: type({ name: "string", "age?": "number" }),
};
const STRICTER = {
  zod: z.object({ name: z.string().min(2), age: z.number().optional() }),
  valibot: v.object({ name: v.pipe(v.string(), v.minLength(2)), age: v.optional(v.number()) }),
  arktype: type({ name: "string>=2", "age?": "number" }),
};

for (const name of ["zod", "valibot", "arktype"] as const) {
  Deno.test(`catalogue() and compare() read schemas of ${name}`, async () => {
    const old = await catalogue("old", [defineEvent("X", { schema: SCHEMAS[name] })]);
    const contract = old.$defs["X.1"];
    assertExists(contract);
    assertEquals([contract.required, contract["x-open"]], [["name"], undefined]);
    const valid = validator(contract);
    assertEquals([valid({ name: "ada", age: 3 }), valid({ name: 5 })], [true, false]);

    const same = compare(old, old).map(({ verdict }) => verdict);
    assertEquals(same, ["safe", "safe"]);
    const stricter = compare(old, await catalogue("new", [defineEvent("X", { schema: STRICTER[name] })]));
    assertEquals(stricter.map(({ side, verdict, path }) => [side, verdict, path]), [
      ["old readers", "safe", undefined],
      ["old entries", "breaks", "detail.name"],
    ]);
  });
}

Deno.test("compare() uses a writer's output type and a reader's input type", async () => {
  const old = await catalogue("old", [defineEvent("X", { schema: z.object({ a: z.string() }) })]);
  const withDefault = z.object({ a: z.string(), b: z.number().default(1) });
  const next = await catalogue("new", [defineEvent("X", { schema: withDefault })]);
  assertEquals(next.$defs["X.1"]?.required, ["a", "b"]);
  assertEquals(compare(old, next).map(({ verdict }) => verdict), ["safe", "safe"]);
});

Deno.test("compare() reports changed versions, upcasters and types", async () => {
  const [one, two] = [z.object({ a: z.string() }), z.object({ b: z.string() })];
  const v1 = await catalogue("v1", [defineEvent("X", { schema: one })]);
  const step = { 1: ({ a }: { a: string }) => ({ b: a }) };
  const v2 = await catalogue("v2", [defineEvent("X", { schema: two, version: 2, upcast: step })]);
  const bare = await catalogue("bare", [defineEvent("X", { schema: two, version: 2 })]);
  const none = await catalogue("none", []);
  const verdicts = (...[from, to]: Parameters<typeof compare>) => compare(from, to).map(({ verdict }) => verdict);
  assertEquals(verdicts(v1, v2), ["note", "note"]);
  assertEquals(verdicts(v1, bare), ["note", "breaks"]);
  assertEquals(verdicts(v2, bare), ["safe", "breaks"], "stored entries of version 1 were upcast");
  assertEquals(verdicts(v2, v1), ["note", "breaks"]);
  assertEquals(verdicts(v1, none), ["note", "breaks"]);
  assertEquals(verdicts(none, v1), ["safe", "safe"]);
});

Deno.test("a schema that JSON Schema cannot express is open, and no change of it is safe", async () => {
  const old = await catalogue("old", [defineEvent("X", { schema: z.object({ a: z.string() }) })]);
  const next = await catalogue("new", [defineEvent("X", { schema: z.object({ a: z.string().transform(Number) }) })]);
  assertEquals(typeof next.$defs["X.1"]?.["x-open"], "string");
  assertEquals(compare(old, next).map(({ verdict }) => verdict), ["unknown", "unknown"]);
  assertEquals(compare(next, next).map(({ verdict }) => verdict), ["note", "note"]);
});

Deno.test("references inside a schema point to its place in the catalogue", async () => {
  const Node = z.object({
    name: z.string(),
    get kids() {
      return z.array(Node);
    },
  });
  const made = await catalogue("tree", [defineEvent("Tree/Grown", { schema: z.object({ root: Node }) })]);
  const key = "Tree/Grown.1";
  const valid = validator({ ...made, $ref: "#/$defs/Tree~1Grown.1" });
  assertExists(made.$defs[key]);
  assertEquals(valid({ root: { name: "a", kids: [{ name: "b", kids: [] }] } }), true);
  assertEquals(valid({ root: { name: "a", kids: [{ name: 1, kids: [] }] } }), false);
  assertEquals(compare(made, made).map(({ verdict }) => verdict), ["safe", "safe"]);
  assertEquals(Object.keys((asyncApi(made) as { channels: object }).channels), ["Tree_Grown"]);
});
