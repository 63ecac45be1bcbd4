import { assert, assertEquals, assertInstanceOf, assertThrows } from "@std/assert";
import type { StandardSchemaV1 as SpecSchema } from "@standard-schema/spec";
import { z } from "zod";
import { DEFINITION, definitionOf } from "../../src/events/_definition.ts";
import {
  defineEvent,
  DomainEvent,
  type EventBase,
  type EventClass,
  type PathOf,
  type StandardSchemaV1,
  ValidationError,
} from "../../src/events/mod.ts";

class AuctionEnded extends defineEvent("AuctionEnded")<{ auctionId: string; winningPrice: number }> {
  bids: number[] = [];
  get dollars(): string {
    return `$${this.detail.winningPrice}`;
  }
}

const Bidder = z.object({
  name: z.string(),
  cards: z.array(z.object({ token: z.string() })).default([]),
  age: z.coerce.number().default(18),
});
class BidderRegistered extends defineEvent("BidderRegistered", {
  version: 2,
  schema: Bidder,
  upcast: { 0: (d) => d, 1: (d) => d },
  sensitive: ["cards.token"],
}) {}

/** `defineEvent` for arguments that its types refuse. */
// deno-lint-ignore no-explicit-any
const untyped = defineEvent as (type: any, options?: any) => EventBase<string>;

Deno.test("defineEvent() makes a class with type, version, fields and methods", () => {
  const event = new AuctionEnded({ auctionId: "a", winningPrice: 5 });
  assertEquals([AuctionEnded.type, AuctionEnded.version, AuctionEnded.name], ["AuctionEnded", 1, "AuctionEnded"]);
  assertEquals([event.type, event.dollars, event.bids], ["AuctionEnded", "$5", []]);
  assertInstanceOf(event, DomainEvent);
  assertInstanceOf(event, CustomEvent);
  assertEquals(BidderRegistered.version, 2);
  assertEquals(defineEvent("BidPlaced").name, "BidPlaced");
});

Deno.test("defineEvent() keeps the literal type and the payload type", () => {
  const event = new AuctionEnded({ auctionId: "a", winningPrice: 5 });
  const type: "AuctionEnded" = event.type;
  const statically: "AuctionEnded" = AuctionEnded.type;
  const price: number = event.detail.winningPrice;
  const classes: readonly EventClass[] = [AuctionEnded, BidderRegistered];
  assertEquals([type, statically, price, classes.length], ["AuctionEnded", "AuctionEnded", 5, 2]);
  const either = (e: AuctionEnded | BidderRegistered): string =>
    e.type === "AuctionEnded" ? e.detail.auctionId : e.detail.name;
  assertEquals(either(new BidderRegistered({ name: "Ada" })), "Ada");
  // @ts-expect-error wrong payload
  new AuctionEnded({ auctionId: 1, winningPrice: 2 });
  // @ts-expect-error payload missing
  new AuctionEnded();
  // @ts-expect-error misspelt init, which is refused at run time too
  assertThrows(() => new AuctionEnded({ auctionId: "a", winningPrice: 2 }, { corelationId: "c" }), TypeError);
  // @ts-expect-error the type is read-only
  assertThrows(() => event.type = "AuctionEnded", TypeError);
});

Deno.test("defineEvent() accepts sensitive paths of the schema's output only", () => {
  defineEvent("Fine", { schema: Bidder, sensitive: ["name", "cards", "cards.token"] });
  // @ts-expect-error no such path
  defineEvent("Wrong", { schema: Bidder, sensitive: ["cards.nope"] });
  type Tree = { label: string; children?: Tree[] };
  const deep: PathOf<Tree>[] = ["label", "children.children.label"];
  const anything: PathOf<unknown>[] = ["whatever.it.is"];
  assertEquals([deep.length, anything.length], [2, 1]);
});

Deno.test("StandardSchemaV1 is the interface of the specification", () => {
  const ours = (schema: SpecSchema<string, number>): StandardSchemaV1<string, number> => schema;
  const theirs = (schema: StandardSchemaV1<string, number>): SpecSchema<string, number> => schema;
  const schema = z.string().transform(Number);
  assertEquals(theirs(ours(schema)) as unknown, schema);
});

Deno.test("defineEvent() refuses reserved and malformed types", () => {
  const cases: [unknown, string][] = [
    ["error", "all-lowercase single words are reserved"],
    ["close", `"Close"`],
    ["", "it is empty"],
    [undefined, "Cannot use undefined as an event type: it is not a string; give a string"],
    [7, "give a string"],
    [{}, "a plain object"],
    ["x".repeat(201), "it has 201 characters; give at most 200"],
    ["A{b", `it contains "{"`],
    ["A}b", `it contains "}"`],
    ["A#b", `it contains "#"`],
    ["A b", "white space (U+0020)"],
    ["A\u2028b", "white space (U+2028)"],
    ["A\tb", "white space (U+0009)"],
    ["A\u0000b", "a control character (U+0000)"],
    ["A\u0085b", "a control character (U+0085)"],
    ["A\ud800b", "half a surrogate pair (U+D800)"],
  ];
  for (const [type, message] of cases) assertThrows(() => untyped(type), TypeError, message);
});

Deno.test("defineEvent() accepts types with capitals, digits, dots, dashes and any script", () => {
  for (
    const type of ["AuctionEnded", "auction.ended", "auction-ended", "a1", "Äuktion", "拍卖", "😀", "X".repeat(200)]
  ) {
    assertEquals(defineEvent(type).type, type);
  }
});

Deno.test("defineEvent() refuses unknown and malformed options", () => {
  const type: [unknown, string][] = [
    [{ versoin: 2 }, 'Cannot define event "X": unknown option "versoin"'],
    [null, "the options must be an object, not null"],
    [{ sensitive: "card" }, 'sensitive must be an array, not "card"'],
    [{ sensitive: ["card", "card..token"] }, '"card..token" is not a sensitive path'],
    [{ sensitive: [""] }, '"" is not a sensitive path'],
    [{ sensitive: [1] }, "1 is not a sensitive path"],
    [{ retention: { age: 1 } }, 'unknown option "age"; use only maxAge, maxLength, maxBytes'],
    [{ retention: 5 }, "the options must be an object, not 5"],
    [{ schema: {} }, "a plain object is not a Standard Schema"],
    [{ schema: null }, "null is not a Standard Schema"],
    [{ schema: { "~standard": { version: 2, validate() {} } } }, "not a Standard Schema"],
  ];
  for (const [options, message] of type) assertThrows(() => untyped("X", options), TypeError, message);
  const range: [unknown, string][] = [
    [{ version: 0 }, 'Cannot use 0 as the version of "X": give an integer of at least 1'],
    [{ version: 1.5 }, "Cannot use 1.5"],
    [{ version: "2" }, 'Cannot use "2"'],
    [{ version: Infinity }, "Cannot use Infinity"],
    [{ retention: { maxAge: 0 } }, "Cannot use 0 as retention.maxAge (ms)"],
    [{ retention: { maxAge: NaN } }, "Cannot use NaN"],
    [{ retention: { maxAge: Infinity } }, "Cannot use Infinity"],
    [{ retention: { maxLength: 1.5 } }, "Cannot use 1.5 as retention.maxLength"],
    [{ retention: { maxLength: -1 } }, "Cannot use -1"],
  ];
  for (const [options, message] of range) assertThrows(() => untyped("X", options), RangeError, message);
});

Deno.test("defineEvent() refuses upcasters that leave a gap or start from an unknown version", () => {
  const up = (detail: unknown) => detail;
  const cases: [unknown, string][] = [
    [{ version: 3, upcast: { 1: up } }, "upcast has no step from version 2 to 3; add it"],
    [{ version: 4, upcast: { 0: up, 2: up, 3: up } }, "no step from version 1 to 2"],
    [{ upcast: { 1: up } }, "upcast converts version 1, but the class has version 1"],
    [{ version: 2, upcast: { "-1": up } }, 'the key "-1"; give integers from 0'],
    [{ version: 2, upcast: { "01": up } }, 'the key "01"'],
    [{ version: 2, upcast: { one: up } }, 'the key "one"'],
    [{ version: 2, upcast: { 1: 5 } }, "upcast from version 1 is 5; give a function"],
    [{ version: 2, upcast: up }, "not function up"],
  ];
  for (const [options, message] of cases) assertThrows(() => untyped("X", options), TypeError, message);
  untyped("X", { version: 3, upcast: { 2: up } });
  untyped("X", { upcast: { 0: up } });
});

Deno.test("definitionOf() gives the definition of a class and of its subclasses", () => {
  class Sub extends BidderRegistered {}
  const definition = definitionOf(Sub);
  assert(definition === definitionOf(BidderRegistered));
  assertEquals(definition.type, "BidderRegistered");
  assertEquals(definition.version, 2);
  assertEquals(Object.keys(definition.upcast), ["0", "1"]);
  assertEquals(definition.sensitive, ["cards.token"]);
  assert(definition.schema === Bidder as unknown);
  assert(Object.isFrozen(definition) && Object.isFrozen(definition.upcast));
  const kept = definitionOf(defineEvent("X", { retention: { maxAge: 1_000 } }));
  assertEquals(kept.retention, { maxAge: 1_000 });
});

Deno.test("definitionOf() refuses values that defineEvent() did not make", () => {
  for (const other of [DomainEvent, class Fake {}, Date, undefined, {}, { [DEFINITION]: {} }, "AuctionEnded"]) {
    assertThrows(() => definitionOf(other), TypeError, "it is not made by defineEvent");
  }
});

Deno.test("A class with a schema validates and keeps the schema's output", () => {
  // deno-lint-ignore no-explicit-any
  const Loose = BidderRegistered as any;
  assertEquals(new BidderRegistered({ name: "Ada", age: "36" }).detail, { name: "Ada", cards: [], age: 36 });
  const error = assertThrows(() => new Loose({ cards: [{ token: 1 }] }), ValidationError);
  assert(error.message.startsWith('Cannot construct "BidderRegistered": its schema refuses detail.name ('));
  assert(error.message.includes("detail.cards.0.token ("));
  assertEquals(error.issues.map(({ path }) => path), ["detail.name", "detail.cards.0.token"]);
});
