import { assert, assertEquals, assertInstanceOf, assertRejects, assertThrows } from "@std/assert";
import { defineEvent, InMemoryBroker, type StandardSchemaV1, ValidationError } from "@tidings/broker";
import { z } from "zod";
import type { EventBase } from "../../src/events/mod.ts";
import { until } from "../../src/testing/_broker_bench.ts";

/** `defineEvent` for arguments that its types refuse. */
// deno-lint-ignore no-explicit-any
const untyped = defineEvent as (type: any, options?: any) => EventBase<string>;

function schemaOf<T>(validate: StandardSchemaV1<T>["~standard"]["validate"]): StandardSchemaV1<T> {
  return { "~standard": { version: 1, vendor: "test", validate } };
}

/** A turn of the event loop: promises that need no timer and no answer from outside have settled after it. */
const turn = () => new Promise((resolve) => setTimeout(resolve));

Deno.test("new throws a ValidationError with all issues, the first five in its message", () => {
  const Many = defineEvent("Many", { schema: z.array(z.string()) });
  const error = assertThrows(() => new Many([1, 2, 3, 4, 5, 6, 7] as unknown as string[]), ValidationError);
  assertInstanceOf(error, TypeError);
  assertEquals([error.name, error.issues.length], ["ValidationError", 7]);
  assertEquals(error.issues[6]!.path, "detail.6");
  assert(error.message.startsWith('Cannot construct "Many": its schema refuses detail.0 ('), error.message);
  assert(error.message.endsWith("; and 2 more"), error.message);
});

Deno.test("new refuses a schema that refuses its own output", () => {
  class Old extends defineEvent("Old", { schema: z.object({ at: z.string().transform(Number) }) }) {}
  assertThrows(() => new Old({ at: 5 as unknown as string }), ValidationError, "its schema refuses detail.at");
  for (let attempt = 0; attempt < 2; attempt++) {
    const error = assertThrows(
      () => new Old({ at: "5" }),
      TypeError,
      "its schema refuses its own output at detail.at (",
    );
    assert(!(error instanceof ValidationError));
    assertInstanceOf(error.cause, ValidationError);
  }
});

Deno.test("new refuses a schema that changes its own output", () => {
  class Cents extends defineEvent("Cents", { schema: z.object({ price: z.number().transform((it) => it * 100) }) }) {}
  assertThrows(() => new Cents({ price: 5 }), TypeError, "its schema changes its own output");
  const shuffled = schemaOf<Record<string, number>>((detail) => {
    const entries = Object.entries(detail as Record<string, number>);
    return { value: Object.fromEntries([...entries.slice(1), ...entries.slice(0, 1)]) };
  });
  // The order of keys does not matter.
  assertEquals(new (defineEvent("Shuffled", { schema: shuffled }))({ a: 1, b: 2, c: 3 }).detail, { a: 1, b: 2, c: 3 });
});

Deno.test("new validates the first accepted event twice, and each other event once", () => {
  let asked = 0;
  const schema = schemaOf<number>((detail) => {
    asked++;
    return (detail as number) < 0 ? { issues: [{ message: "negative" }] } : { value: detail as number };
  });
  class Counted extends defineEvent("Counted", { schema }) {}
  assertThrows(() => new Counted(-1), ValidationError, "its schema refuses detail (negative)");
  new Counted(1);
  new Counted(2);
  assertEquals(asked, 4);
});

Deno.test("new reports the error that a schema throws, and a result of the wrong kind", () => {
  const cause = new Error("out of order");
  const Throws = defineEvent("Throws", {
    schema: schemaOf<number>(() => {
      throw cause;
    }),
  });
  const error = assertThrows(
    () => new Throws(1),
    TypeError,
    'Cannot construct "Throws": its schema threw: out of order',
  );
  assert(error.cause === cause);
  const Silent = defineEvent("Silent", { schema: schemaOf<number>(() => undefined as never) });
  assertThrows(() => new Silent(1), TypeError, "its schema returned undefined");
});

Deno.test("An unpublished event causes no unhandled rejection when its asynchronous schema refuses it", async () => {
  const unhandled: unknown[] = [];
  const listener = (event: PromiseRejectionEvent) => {
    event.preventDefault();
    unhandled.push(event.reason);
  };
  addEventListener("unhandledrejection", listener);
  const Refusing = defineEvent("Refusing", {
    schema: schemaOf<number>(async () => await { issues: [{ message: "no" }] }),
  });
  const Failing = defineEvent("Failing", { schema: schemaOf<number>(() => Promise.reject(new Error("away"))) });
  new Refusing(1);
  new Failing(1);
  assertThrows(() => new Failing(1, { id: "" }), TypeError, "the id of an event");
  await turn();
  // Rejections are reported in order: once this one is reported, all earlier ones are.
  const last = new Error("rejected after all others");
  void Promise.reject(last);
  await until(() => unhandled.includes(last), "the last rejection is reported");
  removeEventListener("unhandledrejection", listener);
  assertEquals(unhandled, [last]);
});

Deno.test("An asynchronous schema validates each event once, however often it is published", async () => {
  const asked: number[] = [];
  const schema = schemaOf<number>(async (detail) => {
    asked.push(detail as number);
    return await { value: detail as number };
  });
  class Asked extends defineEvent("Asked", { schema }) {}
  await using broker = new InMemoryBroker({ events: [Asked] });
  const [first, second] = [new Asked(1), new Asked(2)];
  const positions = await Promise.all([first, second, first].map((event) => broker.publish(event)));
  assertEquals([positions[2], await broker.publish(second)], [positions[0]!, positions[1]!]);
  // The first two events validate their output too: neither knows yet that the other has done so.
  assertEquals(asked, [1, 2, 1, 2]);
  const third = new Asked(3);
  // The schema has answered before the event is published.
  await turn();
  await broker.publish(third);
  assertEquals(asked, [1, 2, 1, 2, 3]);
});

Deno.test("publish() rejects when an asynchronous schema refuses its own output", async () => {
  const schema = schemaOf<string | number>(async (detail) =>
    await (typeof detail === "string" ? { value: Number(detail) } : { issues: [{ message: "no text" }] })
  );
  class Read extends defineEvent("Read", { schema }) {}
  await using broker = new InMemoryBroker({ events: [Read] });
  const event = new Read("5");
  await assertRejects(() => broker.publish(event), TypeError, "refuses its own output at detail (no text)");
  assertEquals(event.detail, "5");
  assertEquals(await Array.fromAsync(broker.history(Read)), []);
});

Deno.test("defineEvent() refuses encrypt without sensitive paths, and new an event without a subject", () => {
  assertThrows(
    () => untyped("X", { encrypt: true }),
    TypeError,
    "sensitive is empty; name the paths to encrypt there",
  );
  assertThrows(() => untyped("X", { encrypt: 1, sensitive: ["a"] }), TypeError, "encrypt must be true or false, not 1");
  class CardStored extends defineEvent("CardStored", { encrypt: true, sensitive: ["token"] })<{ token: string }> {}
  assertThrows(() => new CardStored({ token: "t" }), TypeError, 'Cannot construct "CardStored" without a subject');
  assertEquals(new CardStored({ token: "t" }, { subject: "ada" }).subject, "ada");
  assertThrows(
    () => new InMemoryBroker({ events: [CardStored] }),
    TypeError,
    'Cannot make a broker for "CardStored": it encrypts its sensitive fields',
  );
});
