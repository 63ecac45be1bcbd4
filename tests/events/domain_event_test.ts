import { assert, assertAlmostEquals, assertEquals, assertInstanceOf, assertMatch, assertThrows } from "@std/assert";
import { extractTimestamp, generate, validate } from "@std/uuid/v7";
import { inspect } from "node:util";
import { EventRecord, recordIn, restore } from "../../src/events/_state.ts";
import { defineEvent, DomainEvent, type DomainEventInit, type EventClass } from "../../src/events/mod.ts";

interface Ended {
  price: number;
  card?: { token: string; brand: string };
  payers?: { token: string; name: string }[];
}
class AuctionEnded extends defineEvent("AuctionEnded", {
  version: 2,
  sensitive: ["card.token", "payers.token", "absent.path"],
})<Ended> {}

/** Constructs an event with an init that the types refuse. */
// deno-lint-ignore no-explicit-any
const withInit = (init: any): AuctionEnded => new AuctionEnded({ price: 1 }, init);

Deno.test("DomainEvent has a UUIDv7 and its time by default", () => {
  const before = Date.now();
  const event = new AuctionEnded({ price: 1 });
  assert(validate(event.id));
  assertEquals(event.time.getTime(), extractTimestamp(event.id));
  assertAlmostEquals(event.time.getTime(), before, 1_000);
  assertEquals(recordIn(event).ms, undefined);
  assertEquals(
    [event.source, event.subject, event.correlationId, event.causationId, event.traceparent, event.position],
    Array(6).fill(undefined),
  );
  assertEquals(Object.keys(event.extensions), []);
});

Deno.test("DomainEvent keeps its init", () => {
  const init: Required<DomainEventInit> = {
    id: "order 1/ü",
    time: new Date(5),
    source: "/auctions",
    subject: "a-1",
    correlationId: "c",
    causationId: "d",
    traceparent: "00-1-2-01",
    extensions: { region: "eu", empty: "" },
    expires: new Date(7),
  };
  const event = withInit(init);
  const { id, time, source, subject, correlationId, causationId, traceparent, extensions, expires } = event;
  assertEquals(
    { id, time, source, subject, correlationId, causationId, traceparent, extensions: { ...extensions }, expires },
    init as object,
  );
  assert(Object.isFrozen(extensions));
  assertEquals(Object.getPrototypeOf(extensions), null);
  assertEquals(new DomainEvent("Any", undefined).detail, null);
});

Deno.test("DomainEvent.expires is a Date, or milliseconds after its time", () => {
  assertEquals(withInit({ time: new Date(1_000), expires: 500.7 }).expires, new Date(1_500));
  const event = withInit({ id: "a", time: new Date(0), expires: new Date(2_000) });
  assertEquals((event.toJSON() as { expires: string }).expires, "1970-01-01T00:00:02.000Z");
  assertEquals(event.toCloudEvent().expires, "1970-01-01T00:00:02.000Z");
  for (
    const expires of [NaN, -1, Infinity, new Date(NaN), new Date(Date.UTC(10_000, 0)), new Date(-1), "2026" as never]
  ) {
    assertThrows(() => withInit({ expires }), TypeError, "as the end of an event");
  }
});

Deno.test("DomainEvent puts a given time into the id that it generates, if it fits", () => {
  const event = withInit({ time: new Date("2026-01-01") });
  assertEquals(extractTimestamp(event.id), Date.parse("2026-01-01"));
  assertEquals(recordIn(event).ms, undefined);
  for (const ms of [-1, 2 ** 48]) {
    const outside = withInit({ time: new Date(ms) });
    assertEquals([outside.time.getTime(), recordIn(outside).ms], [ms, ms]);
  }
});

Deno.test("DomainEvent takes its time from a given UUIDv7, else from the clock", () => {
  const id = generate(1_000);
  assertEquals([withInit({ id }).time.getTime(), recordIn(withInit({ id })).ms], [1_000, undefined]);
  assertEquals(recordIn(withInit({ id, time: new Date(1_000) })).ms, undefined);
  assertEquals(recordIn(withInit({ id, time: new Date(2_000) })).ms, 2_000);
  assertAlmostEquals(withInit({ id: "mine" }).time.getTime(), Date.now(), 1_000);
});

Deno.test("DomainEvent.time does not change with the Date that it returned", () => {
  const event = withInit({ time: new Date(7) });
  event.time.setTime(0);
  assertEquals(event.time, new Date(7));
});

Deno.test("DomainEvent refuses malformed metadata, and names it", () => {
  const cases: [unknown, string][] = [
    [{ id: "" }, 'Cannot use "" as the id of an event'],
    [{ id: 5 }, "Cannot use 5 as the id"],
    [{ id: "x".repeat(257) }, "give 1 to 256 characters"],
    [{ id: "a\n" }, 'Cannot use "a\\n" as the id'],
    [{ id: "\ud800" }, "lone surrogates"],
    [{ time: new Date(NaN) }, "Cannot use an invalid Date as the time"],
    [{ time: 5 }, "Cannot use 5 as the time of an event: give a valid Date"],
    [{ extensions: [] }, "Cannot use an array as the extensions"],
    [{ extensions: null }, "Cannot use null as the extensions"],
    [{ extensions: { Region: "eu" } }, 'the extension "Region" of an event: give a name of 1 to 20 lower-case'],
    [{ extensions: { ["x".repeat(21)]: "eu" } }, "give a name"],
    [{ extensions: { position: "1" } }, 'the extension "position" of an event: that name is reserved'],
    [{ extensions: { region: 1 } }, "its value is 1; give a string"],
    [{ sorce: "/x" }, 'unknown option "sorce"'],
    [null, "not null"],
    ["id", 'not "id"'],
  ];
  for (const name of ["source", "subject", "correlationId", "causationId", "traceparent"]) {
    for (const bad of ["", 5, null, "a\u0000"]) cases.push([{ [name]: bad }, `as the ${name} of an event`]);
  }
  for (const [init, message] of cases) assertThrows(() => withInit(init), TypeError, message);
  withInit({ id: undefined, time: undefined, source: undefined, extensions: undefined });
});

Deno.test("DomainEvent is dispatched like any event, but not while it is being dispatched", () => {
  const target = new EventTarget();
  const event = new AuctionEnded({ price: 1 });
  let heard: Event | undefined;
  target.addEventListener("AuctionEnded", (e) => {
    heard = e;
    assertThrows(() => target.dispatchEvent(event), DOMException);
  });
  target.dispatchEvent(event);
  assert(heard === event);
});

Deno.test("restore() constructs the user's class from a record without checking it", () => {
  class Counted extends AuctionEnded {
    seen = 1;
  }
  const record = new EventRecord("");
  record.ms = 9;
  record.position = "7-1";
  record.source = "";
  const event = restore(Counted, { price: 3 }, record);
  assertInstanceOf(event, Counted);
  assertEquals([event.id, event.seen, event.source, event.position], ["", 1, "", "7-1"]);
  assertEquals([event.time, event.detail, recordIn(event).ms], [new Date(9), { price: 3 }, 9]);
});

Deno.test("restore() reads the time from a UUIDv7, else from the position", () => {
  assertEquals(restore(AuctionEnded, {}, new EventRecord(generate(42))).time, new Date(42));
  const foreign = new EventRecord("foreign");
  foreign.position = "77-3";
  assertEquals(restore(AuctionEnded, {}, foreign).time, new Date(77));
});

Deno.test("restore() does not validate a stored detail", () => {
  const schema = {
    "~standard": { version: 1, vendor: "test", validate: () => ({ issues: [{ message: "never" }] }) },
  } as const;
  const Never = defineEvent("Never", { schema }) as unknown as EventClass<DomainEvent<"Never", number>>;
  assertThrows(() => new Never(1), TypeError, "never");
  assertEquals(restore(Never, 1, new EventRecord("a")).detail, 1);
});

Deno.test("restore() works with a constructor that copies init, and refuses one that drops it", () => {
  class Copies extends AuctionEnded {
    constructor(detail: Ended, init?: DomainEventInit) {
      super(detail, { ...init, source: "/mine" });
    }
  }
  class Drops extends AuctionEnded {
    constructor(detail: Ended) {
      super(detail);
    }
  }
  const record = new EventRecord("a");
  record.position = "1-1";
  assertEquals(new Copies({ price: 1 }).source, "/mine");
  const event = restore(Copies, { price: 1 }, record);
  assertEquals([event.id, event.position, event.source], ["a", "1-1", undefined]);
  assertThrows(() => restore(Drops, { price: 1 }, record), TypeError, "Cannot read an event a as Drops");
});

const secret = (): AuctionEnded =>
  new AuctionEnded({
    price: 5,
    card: { token: "SECRET-1", brand: "visa" },
    payers: [{ token: "SECRET-2", name: "Ada" }, { token: "SECRET-3", name: "Bob" }],
  }, { id: "e-1", time: new Date(0), subject: "a-1", extensions: { region: "eu" } });

Deno.test("DomainEvent.toJSON() masks sensitive fields and leaves out undefined ones", () => {
  const event = secret();
  Object.assign(recordIn(event), { position: "1-0" });
  const json = {
    id: "e-1",
    type: "AuctionEnded",
    time: "1970-01-01T00:00:00.000Z",
    position: "1-0",
    subject: "a-1",
    extensions: { region: "eu" },
    version: 2,
    detail: {
      price: 5,
      card: { token: "***", brand: "visa" },
      payers: [{ token: "***", name: "Ada" }, { token: "***", name: "Bob" }],
    },
  };
  assertEquals(event.toJSON(), json);
  assertEquals(JSON.stringify(event), JSON.stringify(json));
  assertEquals(event.detail.card?.token, "SECRET-1");
  assertEquals(event.detail.payers?.[1]?.token, "SECRET-3");
});

Deno.test("DomainEvent is inspected compactly, sensitive fields masked", () => {
  for (const text of [Deno.inspect(secret()), inspect(secret()), Deno.inspect([secret()], { depth: 9 })]) {
    assertMatch(text, /AuctionEnded \{\s+id: ["']e-1["'],\s+time: ["']1970/);
    assert(text.includes("***") && text.includes("visa") && !text.includes("SECRET"), text);
  }
});

Deno.test("DomainEvent masks whole branches, keeps unusual values and never mutates the detail", () => {
  class Odd extends defineEvent("Odd", { sensitive: ["a", "a.b", "c.d"] })<unknown> {}
  const shown = (detail: unknown) => (new Odd(detail).toJSON() as { detail: unknown }).detail;
  assertEquals(shown({ a: { b: 1 }, c: { d: null, e: 2 } }), { a: "***", c: { d: "***", e: 2 } });
  assertEquals(shown({ c: "flat" }), { c: "flat" });
  assertEquals(shown([[{ a: 1 }]]), [[{ a: "***" }]]);
  assertEquals([shown(null), shown(5), shown({})], [null, 5, {}]);
  const hostile = JSON.parse('{"__proto__":{"x":1},"c":{"d":1}}');
  assertEquals(JSON.stringify(shown(hostile)), '{"__proto__":{"x":1},"c":{"d":"***"}}');
  const frozen = Object.freeze({ a: 1 });
  assertEquals([shown(frozen), frozen], [{ a: "***" }, { a: 1 }]);
});

Deno.test("DomainEvent.toCloudEvent() is complete", () => {
  const event = secret();
  Object.assign(recordIn(event), { position: "1-0", correlationId: "c", causationId: "d" });
  const cloud = event.toCloudEvent();
  assertEquals(cloud, {
    specversion: "1.0",
    id: "e-1",
    type: "AuctionEnded",
    source: "/AuctionEnded",
    time: "1970-01-01T00:00:00.000Z",
    subject: "a-1",
    datacontenttype: "application/json",
    correlationid: "c",
    causationid: "d",
    version: 2,
    position: "1-0",
    region: "eu",
    data: event.detail,
  });
  assert(cloud.data === event.detail);
  class Plain extends defineEvent("Größe")<{ n: number }> {}
  assertEquals(Object.keys(new Plain({ n: 1 }).toCloudEvent()).length, 7);
  assertEquals(new Plain({ n: 1 }).toCloudEvent().source, "/Gr%C3%B6%C3%9Fe");
  assertEquals(new Plain({ n: 1 }, { source: "/mine" }).toCloudEvent().source, "/mine");
});
