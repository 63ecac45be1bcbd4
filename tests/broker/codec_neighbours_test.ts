import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { defineEvent } from "@tidings/broker";
import { EventCodec } from "../../src/broker/codec/_event_codec.ts";
import { UndecodableError } from "../../src/broker/errors.ts";

class Bid extends defineEvent("Bid", {
  version: 2,
  upcast: { 0: (detail) => ({ old: detail }), 1: (detail) => ({ first: detail }) },
  sensitive: ["__proto__.token", "constructor"],
})<unknown> {}

const codec = new EventCodec(Bid, "events");
const POSITION = "1767225600000-7";
const ENVELOPE = {
  specversion: "1.0",
  id: "ce-1",
  source: "/till",
  type: "Bid",
  subject: "lamp",
  time: "2026-01-02T03:04:05+01:00",
  version: 2,
  correlationid: "c-1",
  region: "eu",
  urgent: true,
  dataschema: "https://example.com/bid",
  data: { cents: 5 },
};

function decode(...fields: string[]): Bid {
  const event = codec.decode({ position: POSITION, fields });
  if (event instanceof UndecodableError) throw event;
  assert(!(event instanceof Promise));
  return event;
}

function fault(...fields: string[]): UndecodableError {
  const error = codec.decode({ position: POSITION, fields });
  assert(error instanceof UndecodableError);
  return error;
}

Deno.test("EventCodec.decode() keeps and shows unknown fields, and never publishes them again", () => {
  const event = decode("payload", "1", "event_type", "Bid", "__proto__", "x", "tenant", "t-1", "version", "2");
  assertEquals(Object.entries(event.unknownFields), [["event_type", "Bid"], ["__proto__", "x"], ["tenant", "t-1"]]);
  assert(Object.isFrozen(event.unknownFields));
  assertEquals(Object.getPrototypeOf(event.unknownFields), null);
  assertStringIncludes(JSON.stringify(event), '"unknownFields":{"event_type":"Bid","__proto__":"x","tenant":"t-1"}');
  assertStringIncludes(Deno.inspect(event), "tenant");
  const exported = event.toCloudEvent();
  assertEquals([exported["tenant"], exported["event_type"]], ["t-1", undefined]);
  assertEquals(Object.hasOwn(exported, "__proto__"), false);
  assertEquals(codec.encode(event).filter((_, index) => index % 2 === 0), ["id", "payload", "version", "time"]);
  assertEquals(Object.keys(new Bid(1).unknownFields), []);
});

Deno.test("EventCodec.decode() reads a structured CloudEvent from its envelope", () => {
  const event = decode("payload", JSON.stringify(ENVELOPE));
  assertEquals([event.id, event.source, event.subject, event.correlationId], ["ce-1", "/till", "lamp", "c-1"]);
  assertEquals([event.time.toISOString(), event.detail], ["2026-01-02T02:04:05.000Z", { cents: 5 }]);
  assertEquals({ ...event.extensions }, { region: "eu", urgent: "true" });
  assertEquals({ ...event.unknownFields }, { dataschema: ENVELOPE.dataschema });
  const exported = decode("payload", JSON.stringify(event.toCloudEvent()));
  assertEquals(exported.toCloudEvent(), event.toCloudEvent(), "an exported event is read back unchanged");
});

Deno.test("EventCodec.decode() prefers the fields of the entry to those of a CloudEvent", () => {
  const event = decode("payload", JSON.stringify(ENVELOPE), "source", "/mine", "ext", '{"region":"us"}', "note", "n");
  assertEquals([event.source, event.subject, event.extensions["region"]], ["/mine", "lamp", "us"]);
  assertEquals({ ...event.unknownFields }, { note: "n", dataschema: ENVELOPE.dataschema });
  const content = ["content-type", "application/cloudevents+json; charset=utf-8"];
  assertEquals(decode("id", "own", ...content, "payload", JSON.stringify(ENVELOPE)).id, "own");
});

Deno.test("EventCodec.decode() reads a CloudEvent without version as version 1, and without data as null", () => {
  const { version: _version, data: _data, id: _id, ...rest } = ENVELOPE;
  const event = decode("payload", JSON.stringify(rest));
  assertEquals([event.detail, event.id], [{ first: null }, `Bid:${POSITION}`]);
});

Deno.test("EventCodec.decode() keeps a detail that looks like a CloudEvent", () => {
  const event = new Bid(ENVELOPE);
  assertEquals(decode(...codec.encode(event)).detail, ENVELOPE);
  for (const detail of [{ specversion: "1.0" }, { ...ENVELOPE, specversion: "0.3" }, ['"specversion"'], [ENVELOPE]]) {
    assertEquals(decode("payload", JSON.stringify(detail), "version", "2").detail, detail);
  }
});

Deno.test("EventCodec.decode() gives the reason why a CloudEvent is refused", () => {
  const cases: [object, string][] = [
    [{ type: "Other" }, 'it is a CloudEvent of type "Other", not "Bid"'],
    [{ data_base64: "AA==" }, "data_base64"],
    [{ id: 5 }, "whose id is not a string"],
    [{ time: "noon" }, '"noon"'],
    [{ version: "x" }, '"x"'],
  ];
  for (const [change, part] of cases) {
    assertStringIncludes(fault("payload", JSON.stringify({ ...ENVELOPE, ...change })).message, part);
  }
  assertStringIncludes(
    fault("content-type", "application/cloudevents+json", "payload", "{}").message,
    "is no CloudEvent of version 1.0",
  );
});

Deno.test("EventCodec.decode() refuses ambiguous or inexact entries with a reason", () => {
  const deep = "[".repeat(501) + "]".repeat(501);
  const cases: [string[], string][] = [
    [["payload", "1", "payload", "2"], 'the field "payload" twice'],
    [["x", "1", "id", "i", "x", "2"], 'the field "x" twice'],
    [["payload", "1", "id"], "no value"],
    [["id", "", "payload", "1"], "id is empty"],
    [["id", "a\n", "payload", "1"], "control character"],
    [["id", "\ud800", "payload", "1"], "lone surrogate"],
    [["id", "x".repeat(257), "payload", "1"], "257"],
    [["payload", "1", "source", "a\0"], "its source"],
    [["payload", deep], "500 levels"],
    [["payload", "[".repeat(1_000_000)], "500 levels"],
    [["payload", `{"user":9007199254740993}`], "a number that cannot be read exactly"],
    [["payload", "[1e400]"], "a number that cannot be read exactly"],
    [["payload", "1", "ext", '{"__proto__":"x"}'], "__proto__"],
    [["payload", "1", "ext", `{"a":${deep}}`], "500 levels"],
    ...["2026", "1", "Jan 1 2026", "2026-01-02T03:04:05", "2026-13-02T03:04:05Z", ""].map((time) =>
      [["payload", "1", "time", time], "its time"] as [string[], string]
    ),
    ...["01", "1e3", "0x2", " 1", "9007199254740993"].map((version) =>
      [["payload", "1", "version", version], "its version"] as [string[], string]
    ),
  ];
  for (const [fields, part] of cases) assertStringIncludes(fault(...fields).message, part);
});

Deno.test("EventCodec.decode() reads unusual entries that are unambiguous", () => {
  const detail = (payload: string) => decode("version", "2", "payload", payload).detail;
  assertEquals(detail('{"a":1,"a":2}'), { a: 2 }, "the last of duplicate keys counts, as with JSON.parse");
  assertEquals(detail(String.raw`"\ud800"`), "\ud800");
  assertEquals(detail('[9007199254740992, 123456789012345680000, 0.1234567890123456789, 1e300, "12345678901234567"]'), [
    2 ** 53,
    123456789012345680000,
    0.1234567890123456789,
    1e300,
    "12345678901234567",
  ]);
  const level = "[".repeat(500) + "]".repeat(500);
  assertEquals(JSON.stringify(detail(level)), level);
  const brackets = JSON.stringify(`${"[".repeat(2_000)}\\"${"{".repeat(2_000)}`);
  assertEquals(JSON.stringify(detail(brackets)), brackets);
  assertEquals(decode("payload", "1", "source", "", "version", "2").source, undefined);
});

Deno.test("keys such as __proto__ change no prototype when an event is masked or shown", () => {
  const payload = '{"__proto__":{"token":"t","admin":true},"constructor":{"prototype":{"admin":true}}}';
  const event = decode("version", "2", "payload", payload, "constructor", "x");
  const shown = '{"__proto__":{"token":"***","admin":true},"constructor":"***"}';
  assertStringIncludes(JSON.stringify(event), shown);
  assertEquals(({} as Record<string, unknown>)["admin"], undefined);
  assertEquals(Object.keys(Object.prototype), []);
});

Deno.test("EventCodec.decode() makes an entry undecodable when an upcaster overflows the stack", () => {
  const endless = (detail: unknown): unknown => [endless(detail)];
  class Endless extends defineEvent("Endless", { version: 2, upcast: { 1: endless } })<unknown> {}
  const error = new EventCodec(Endless, "events").decode({ position: POSITION, fields: ["payload", "1"] });
  assert(error instanceof UndecodableError && error.cause instanceof RangeError);
});
