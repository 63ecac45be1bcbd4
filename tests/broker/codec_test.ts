import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { defineEvent } from "@tidings/broker";
import { EventCodec } from "../../src/broker/codec/_event_codec.ts";
import { UndecodableError } from "../../src/broker/errors.ts";

class Bid extends defineEvent("Bid", {
  version: 3,
  upcast: {
    0: (detail) => ({ ...detail, steps: [0] }),
    1: (detail) => ({ ...detail, steps: [...detail.steps ?? [], 1] }),
    2: (detail) => ({ ...detail, steps: [...detail.steps ?? [], 2] }),
  },
})<{ price: number; steps?: number[] }> {
  get dollars(): string {
    return `$${this.detail.price}`;
  }
}

class Plain extends defineEvent("Plain")<unknown> {}

const bids = new EventCodec(Bid, "events");
const plain = new EventCodec(Plain, "shop");
const POSITION = "1767225600000-7";

const decode = <E extends Bid | Plain>(codec: EventCodec<E>, ...fields: string[]): E => {
  const event = codec.decode({ position: POSITION, fields });
  if (event instanceof Error || event instanceof Promise) throw event;
  return event;
};

const fault = (...fields: string[]): UndecodableError => {
  const error = bids.decode({ position: POSITION, fields });
  assert(error instanceof UndecodableError);
  return error;
};

Deno.test("EventCodec.encode() writes only fields with a value, always in the same order", () => {
  const event = new Plain({ a: 1 });
  assertEquals(plain.encode(event), ["id", event.id, "payload", '{"a":1}']);
  assertEquals([plain.stream, bids.stream], ["shop:Plain", "events:Bid"]);
  const full = new Bid({ price: 5 }, {
    id: "b-1",
    time: new Date("2026-01-02T03:04:05.678Z"),
    source: "/s",
    subject: "x",
    correlationId: "c",
    causationId: "d",
    traceparent: "t",
    extensions: { b: "2", a: "1" },
  });
  assertEquals(bids.encode(full), [
    ...["id", "b-1", "payload", '{"price":5}', "version", "3", "time", "2026-01-02T03:04:05.678Z", "source", "/s"],
    ...["subject", "x", "correlationid", "c", "causationid", "d", "traceparent", "t", "ext", '{"b":"2","a":"1"}'],
  ]);
  const back = decode(bids, ...bids.encode(full));
  assertEquals(back.toCloudEvent(), { ...full.toCloudEvent(), position: POSITION });
  assertEquals([back.dollars, back.position], ["$5", POSITION]);
});

Deno.test("EventCodec.decode() upcasts every older version", () => {
  const steps = (...fields: string[]) => decode(bids, "payload", '{"price":1}', ...fields).detail.steps;
  assertEquals(steps(), [0, 1, 2]);
  assertEquals(steps("version", "0", "id", "x"), [0, 1, 2]);
  assertEquals(steps("id", "x"), [1, 2]);
  assertEquals(steps("version", "1"), [1, 2]);
  assertEquals(steps("version", "2"), [2]);
  assertEquals(steps("version", "3"), undefined);
});

Deno.test("EventCodec.decode() derives missing fields of other writers, and ignores unknown fields", () => {
  const bare = decode(plain, "payload", "[1]", "event_type", "Plain", "constructor", "x", "__proto__", "y");
  assertEquals([bare.id, bare.time.getTime(), bare.detail], [`Plain:${POSITION}`, 1_767_225_600_000, [1]]);
  assertEquals(decode(plain, "payload", "null", "id", "my-id").time.getTime(), 1_767_225_600_000);
  const uuid = "01890a5d-ac96-774b-bcce-b302099a8057";
  assertEquals(decode(plain, "payload", "0", "id", uuid).time.getTime(), 0x01890a5dac96);
  for (const name of ["source", "subject", "correlationId", "causationId", "traceparent"] as const) {
    assertEquals(bare[name], undefined);
  }
});

Deno.test("EventCodec.decode() treats keys such as __proto__ like any other key", () => {
  const event = decode(plain, "id", "x", "payload", '{"__proto__":{"admin":true},"constructor":1}');
  const detail = event.detail as Record<string, unknown>;
  assertEquals(detail["admin"], undefined);
  assertEquals(Object.getPrototypeOf(detail), Object.prototype);
  assertEquals(Object.hasOwn(detail, "__proto__"), true);
  const error = fault("__proto__", "a", "toString", "b");
  assertEquals(Object.entries(error.raw), [["__proto__", "a"], ["toString", "b"]]);
  assertEquals(Object.getPrototypeOf(error.raw), null);
});

Deno.test("EventCodec.decode() gives the reason and the fields of an undecodable entry", () => {
  const cases: [string[], string][] = [
    [[], "no payload"],
    [["id", "x"], "no payload"],
    [["payload", "{"], "JSON"],
    [["payload", ""], "payload is empty"],
    [["payload", "1", "version", "4"], "version 4, and this class knows up to 3"],
    [["payload", "1", "version", "-1"], '"-1"'],
    [["payload", "1", "version", "1.5"], '"1.5"'],
    [["payload", "1", "version", ""], '""'],
    [["payload", "1", "version", "99999999999999999999"], "9999"],
    [["payload", "1", "version", "3", "time", "noon"], '"noon"'],
    [["payload", "1", "version", "3", "ext", "{"], "JSON"],
    [["payload", "1", "version", "3", "ext", '{"a":1}'], '"a"'],
    [["payload", "1", "version", "3", "ext", "null"], "extensions"],
  ];
  for (const [fields, part] of cases) {
    const error = fault(...fields);
    assertStringIncludes(error.message, part);
    assert(error.message.startsWith(`Cannot decode Bid at ${POSITION}: `));
    assertEquals(error.position, POSITION);
    assertEquals(Object.entries(error.raw).flat(), fields);
    assert(error.cause instanceof Error);
  }
});

Deno.test("EventCodec.decode() makes an entry undecodable when an upcaster or a constructor throws", () => {
  class Fussy extends defineEvent("Fussy", {
    version: 2,
    upcast: {
      1: () => {
        throw new RangeError("too old");
      },
    },
  })<object> {}
  class Picky extends defineEvent("Picky")<{ n: number }> {
    constructor(detail: { n: number }, init?: object) {
      super(detail, init);
      if (detail.n < 0) throw new RangeError("negative");
    }
  }
  const old = new EventCodec(Fussy, "events").decode({ position: POSITION, fields: ["payload", "{}"] });
  assert(old instanceof UndecodableError && old.message.endsWith("too old"));
  const negative = new EventCodec(Picky, "events").decode({ position: POSITION, fields: ["payload", '{"n":-1}'] });
  assert(negative instanceof UndecodableError && negative.message.endsWith("negative"));
});

Deno.test("EventCodec.decode() quotes nothing of a payload with sensitive values", () => {
  class Paid extends defineEvent("Paid", { sensitive: ["card"] })<{ card: number }> {}
  const codec = new EventCodec(Paid, "events");
  const why = (...fields: string[]) => {
    const error = codec.decode({ position: POSITION, fields });
    assert(error instanceof UndecodableError);
    let told = "";
    for (let at: unknown = error; at instanceof Error; at = at.cause) told += `${at.message}\n${at.stack}\n`;
    assert(!/41{3}/.test(told), told);
    return error.message;
  };
  const inexact = '{"card":41111111111111111111}';
  assertStringIncludes(why("payload", '{"card":4111'), "its payload is no JSON");
  assertStringIncludes(why("payload", "x4111"), "its payload is no JSON");
  assertStringIncludes(why("payload", inexact), "its payload has a number that cannot be read exactly");
  assertStringIncludes(why("payload", `{"specversion":"1.0","type":"Paid","data":${inexact}}`), "has a number");
  assertStringIncludes(fault("payload", "x4111").message, "x4111");
});
