import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { Coverage } from "../../src/contracts/_covers.ts";
import type { JsonSchema } from "../../src/contracts/_schema.ts";
import { validator } from "./_ajv.ts";

const gaps = (writer: JsonSchema, reader: JsonSchema) => new Coverage(writer, reader).gaps([writer], reader, "detail");
const verdicts = (writer: JsonSchema, reader: JsonSchema) =>
  gaps(writer, reader).map(({ verdict, path }) => [verdict, path]);

const small = fc.integer({ min: -2, max: 4 });
const key = fc.constantFrom("a", "b", "c");
const leaf = fc.oneof(
  fc.boolean(),
  fc.constant({}),
  fc.record({ type: fc.constantFrom("string", "number", "integer", "boolean", "null") }),
  fc.record({ type: fc.constant(["string", "null"]) }),
  fc.record({ enum: fc.uniqueArray(fc.constantFrom<unknown>("x", "yy", 1, 2.5, null, true), { minLength: 1 }) }),
  fc.record({ const: fc.constantFrom<unknown>("x", 1, null, false) }),
  fc.record({ minimum: small, maximum: small, exclusiveMinimum: small, multipleOf: fc.constantFrom(1, 2, 3) }, {
    requiredKeys: [],
  }),
  fc.record({ type: fc.constant("string"), minLength: fc.nat(3), maxLength: fc.nat(3) }, { requiredKeys: ["type"] }),
  fc.record({ pattern: fc.constantFrom("^x", "y$", "^[a-z]*$") }),
);
const { schema } = fc.letrec<{ schema: JsonSchema }>((tie) => ({
  schema: fc.oneof(
    { maxDepth: 3, depthSize: "small" },
    leaf as fc.Arbitrary<JsonSchema>,
    fc.record({
      type: fc.constantFrom("object", ["object", "null"]),
      properties: fc.dictionary(key, tie("schema"), { maxKeys: 3, noNullPrototype: true }),
      required: fc.uniqueArray(key, { maxLength: 2 }),
      additionalProperties: fc.oneof(fc.boolean(), tie("schema")),
      propertyNames: fc.constantFrom<JsonSchema>({ enum: ["a", "b"] }, { maxLength: 1 }, { pattern: "^[a-z]*$" }),
      patternProperties: fc.dictionary(fc.constantFrom("^a", "b"), tie("schema"), {
        minKeys: 1,
        maxKeys: 1,
        noNullPrototype: true,
      }),
      minProperties: fc.nat(2),
      maxProperties: fc.nat(3),
    }, { requiredKeys: [] }) as fc.Arbitrary<JsonSchema>,
    fc.record({
      type: fc.constant("array"),
      items: tie("schema"),
      prefixItems: fc.array(tie("schema"), { minLength: 1, maxLength: 2 }),
      minItems: fc.nat(2),
      maxItems: fc.nat(3),
      uniqueItems: fc.boolean(),
    }, { requiredKeys: [] }) as fc.Arbitrary<JsonSchema>,
    fc.record({ anyOf: fc.array(tie("schema"), { minLength: 1, maxLength: 3 }) }),
    fc.record({ oneOf: fc.array(tie("schema"), { minLength: 1, maxLength: 3 }) }),
    fc.record({ allOf: fc.array(tie("schema"), { minLength: 1, maxLength: 2 }) }),
    fc.record({ not: tie("schema") }),
  ),
}));
const scalar = fc.constantFrom<unknown>("", "x", "yy", "xyz", "zzzz", 0, 1, 2, 2.5, -1, 3, null, true, false);
const { value } = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 3 },
    { weight: 2, arbitrary: scalar },
    fc.dictionary(fc.constantFrom("a", "b", "c", "d"), tie("value"), { maxKeys: 4, noNullPrototype: true }),
    fc.array(tie("value"), { maxLength: 3 }),
  ),
}));

/** Pairs of schemas; most of them differ by a small change, as the versions of an event do. */
const pair = fc.oneof(
  fc.tuple(schema, schema),
  schema.map((one) => [one, one] as const),
  fc.tuple(schema, schema).map(([one, other]) => [one, { anyOf: [other, one] }] as const),
  fc.tuple(schema, schema).map(([one, other]) => [{ allOf: [one, other] }, one] as const),
  fc.tuple(schema, fc.constantFrom(...["required", "type", "enum", "items", "minItems", "additionalProperties"]))
    .map(([one, name]) => {
      if (typeof one === "boolean") return [one, one] as const;
      const { [name]: _gone, ...rest } = one as Record<string, unknown>;
      return [one, rest] as const;
    }),
);

Deno.test("after a safe change, ajv accepts each value that the old schema accepts", () => {
  let [safe, tried] = [0, 0];
  fc.assert(
    fc.property(pair, fc.array(value, { minLength: 30, maxLength: 30 }), ([writer, reader], values) => {
      if (gaps(writer, reader).length > 0) return;
      safe++;
      const [writes, reads] = [validator(writer), validator(reader)];
      for (const each of values) {
        if (!writes(each)) continue;
        tried++;
        assert(reads(each), `${JSON.stringify(each)} is written and refused`);
      }
    }),
    { numRuns: 800 },
  );
  assert(safe > 80 && tried > 400, `only ${safe} pairs were safe, with ${tried} values`);
});

Deno.test("each change has its verdict and its path", () => {
  const object = (properties: object, more: object = {}): JsonSchema => ({ type: "object", properties, ...more });
  const closed = { additionalProperties: false };
  const [text, number] = [{ type: "string" }, { type: "number" }];
  assertEquals(verdicts(object({ a: text }, closed), object({ a: number })), [["breaks", "detail.a"]]);
  assertEquals(verdicts(object({ a: text }, closed), object({ a: text, b: number })), []);
  assertEquals(verdicts(object({ a: text }), object({ a: text, b: number })), [["note", "detail.b"]]);
  assertEquals(verdicts(object({ a: text }), object({ a: text, b: number }, { required: ["b"] })), [[
    "breaks",
    "detail.b",
  ]]);
  assertEquals(verdicts({ type: "array", items: { anyOf: [text, { type: "null" }] } }, { items: text }), [
    ["breaks", "detail[*]"],
  ]);
  assertEquals(verdicts({ enum: ["a", "b"] }, { enum: ["b", "c"] }), [["breaks", "detail"]]);
  assertEquals(verdicts({ type: "string", pattern: "^a$" }, { pattern: "^[a]$" }), [["unknown", "detail"]]);
  assertEquals(verdicts(text, { not: { const: "x" } }), [["unknown", "detail"]]);
});

Deno.test("a schema that refers to itself is compared once", () => {
  const tree = (leaf: string): JsonSchema => ({
    type: "object",
    properties: { name: { type: leaf }, kids: { type: "array", items: { $ref: "#" } } },
    required: ["name"],
    additionalProperties: false,
  });
  assertEquals(verdicts(tree("string"), tree("string")), []);
  assertEquals(verdicts(tree("number"), tree("string")), [
    ["breaks", "detail.name"],
    ["breaks", "detail.kids[*].name"],
  ]);
  assertEquals(verdicts({ type: "string" }, { anyOf: [{ $ref: "#" }] })[0]?.[0], "unknown");
  assertEquals(verdicts({ type: "string" }, { $ref: "elsewhere.json" }), [["unknown", "detail"]]);
});
