import { assert, assertEquals } from "@std/assert";
import { defineEvent } from "@tidings/broker";
import fc from "fast-check";
import { EventCodec } from "../../src/broker/codec/_event_codec.ts";
import { UndecodableError } from "../../src/broker/errors.ts";

/** A class with upcasters that masks keys with a meaning in JavaScript. */
export class Any extends defineEvent("Any", {
  version: 2,
  upcast: { 0: (detail) => ({ ...detail, zero: true }), 1: (detail) => detail.value },
  sensitive: ["__proto__", "constructor.prototype", "secret"],
})<unknown> {}

const codec = new EventCodec(Any, "events");
const POSITION = "1767225600000-7";
const NAMES = "id payload version time source subject correlationid causationid traceparent ext".split(" ");
const TRAPS = ["__proto__", "constructor", "prototype", "toString", "hasOwnProperty", "content-type", "event_type"];

const key = fc.oneof(fc.string(), fc.constantFrom(...TRAPS, "specversion", "type", "data", "secret", "value"));
const json = fc.letrec((tie) => ({
  value: fc.oneof(
    { depthSize: "small" },
    fc.constantFrom("null", "true", "1e400", "9007199254740993", "-0", "", "[", '"\\ud800"', "nul"),
    fc.double({ noNaN: true, noDefaultInfinity: true }).map(String),
    fc.string({ unit: "binary" }).map((text) => JSON.stringify(text)),
    fc.array(tie("value"), { maxLength: 4 }).map((items) => `[${items.join(",")}]`),
    fc.array(fc.tuple(key, tie("value")), { maxLength: 4 }).map((pairs) =>
      `{${pairs.map(([name, value]) => `${JSON.stringify(name)}:${value}`).join(",")}}`
    ),
    fc.nat(700).map((depth) => "[".repeat(depth) + "]".repeat(depth)),
  ),
})).value as fc.Arbitrary<string>;
const envelope = fc.record({
  specversion: fc.constantFrom("1.0", "0.3"),
  type: fc.constantFrom("Any", "Other"),
  id: fc.oneof(fc.string(), fc.integer()),
  data: fc.jsonValue(),
  time: fc.constantFrom("2026-01-02T03:04:05Z", "noon"),
}, { requiredKeys: ["specversion", "type"] }).map((value) => JSON.stringify(value));
const text = fc.oneof(
  fc.string({ unit: "binary" }),
  fc.constantFrom("0", "1", "2", "3", "01", "-1", "1e3", "9007199254740993", "2026-01-02T03:04:05Z", '{"a":"b"}'),
);

/** Fields of an entry as any program may write them. */
export const anyFields: fc.Arbitrary<string[]> = fc.array(
  fc.oneof(
    fc.tuple(fc.constant("payload"), fc.oneof(json, envelope, text)),
    fc.tuple(fc.constantFrom(...NAMES), fc.oneof(text, json)),
    fc.tuple(fc.oneof(fc.constantFrom(...TRAPS), fc.string()), text),
  ),
  { minLength: 1, maxLength: 8 },
).map((pairs) => pairs.flat());

const PROTOTYPES = [Object.prototype, Array.prototype, Function.prototype, String.prototype];
const untouched = PROTOTYPES.map((prototype) => Reflect.ownKeys(prototype));

/** Fails when a shared prototype has changed. */
export function assertPrototypes(): void {
  assertEquals(PROTOTYPES.map((prototype) => Reflect.ownKeys(prototype)), untouched);
}

/** A decoded entry, for comparison. */
function decoded(fields: readonly string[]): unknown {
  const event = codec.decode({ position: POSITION, fields });
  if (event instanceof UndecodableError) return "undecodable";
  assert(event instanceof Any);
  // Every decoded event can be shown.
  assert(Deno.inspect(event).length > 0);
  const fieldsByName = Object.entries(event.unknownFields).sort(([a], [b]) => a < b ? -1 : 1);
  return [JSON.stringify({ ...event.toJSON() as object, unknownFields: undefined }), fieldsByName, event.detail];
}

/** Properties that hold for every entry. */
export const PROPERTIES: Readonly<Record<string, fc.IRawProperty<unknown>>> = {
  "decode() gives an event or an UndecodableError, and changes no prototype": fc.property(anyFields, (fields) => {
    decoded(fields);
    decoded(fields.slice(1));
    assertPrototypes();
  }),
  "decode() gives the same for any order of the fields": fc.property(
    anyFields.chain((fields) => {
      const pairs = fields.flatMap((name, at) => at % 2 === 0 ? [[name, fields[at + 1]!]] : []);
      return fc.tuple(fc.constant(fields), fc.shuffledSubarray(pairs, { minLength: pairs.length }));
    }),
    ([fields, shuffled]) => assertEquals(decoded(shuffled.flat()), decoded(fields)),
  ),
  "decode(encode(event)) is the event": fc.property(
    fc.jsonValue(),
    fc.record({
      id: fc.stringMatching(/^[ -~]{1,256}$/),
      time: fc.date({ noInvalidDate: true }),
      source: fc.stringMatching(/^[ -~]{1,30}$/),
      subject: fc.stringMatching(/^[ -~]{1,30}$/),
      extensions: fc.dictionary(fc.stringMatching(/^x[a-z0-9]{0,19}$/), fc.string({ unit: "binary" })),
    }, { requiredKeys: [] }),
    (detail, init) => {
      const event = new Any(detail, init);
      const back = codec.decode({ position: POSITION, fields: codec.encode(event) });
      assert(back instanceof Any);
      // Compared as text, since JSON has no negative zero.
      assertEquals(JSON.stringify(back.detail), JSON.stringify(event.detail));
      const { position: _position, data: _data, ...attributes } = back.toCloudEvent();
      const { data: _, ...expected } = event.toCloudEvent();
      assertEquals(attributes, expected as typeof attributes);
    },
  ),
};
