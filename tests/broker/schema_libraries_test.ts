import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { defineEvent, InMemoryBroker, type StandardSchemaV1, ValidationError } from "@tidings/broker";
import { type } from "npm:arktype@^2.2";
import * as v from "npm:valibot@^1";
import { z } from "zod";
import { EventCodec } from "../../src/broker/codec/_event_codec.ts";
import { encodeDetail } from "../../src/events/_lossless.ts";

/** The same schema in three libraries: a name, an age as a number or text, and optional tags. */
const libraries = {
  zod: z.object({
    name: z.string().min(1),
    age: z.coerce.number().int(),
    tags: z.array(z.string()).default([]),
  }),
  valibot: v.object({
    name: v.pipe(v.string(), v.minLength(1)),
    age: v.pipe(v.union([v.number(), v.pipe(v.string(), v.transform(Number))]), v.number(), v.integer()),
    tags: v.optional(v.array(v.string()), []),
  }),
  arktype: type({
    name: "string >= 1",
    age: "number.integer | string.integer.parse",
    tags: type("string[]").default(() => []),
  }),
} satisfies Record<string, StandardSchemaV1>;

for (const [library, schema] of Object.entries(libraries)) {
  class PersonJoined extends defineEvent("PersonJoined", {
    schema: schema as StandardSchemaV1<{ name: string; age: number | string; tags?: string[] }, {
      name: string;
      age: number;
      tags: string[];
    }>,
  }) {}

  Deno.test(`A schema of ${library} is checked before publish, and its output is stored`, async () => {
    await using broker = new InMemoryBroker({ events: [PersonJoined] });
    const event = new PersonJoined({ name: "Ada", age: "36" });
    assertEquals(event.detail, { name: "Ada", age: 36, tags: [] });
    await broker.publish(event);
    const [stored] = await Array.fromAsync(broker.history(PersonJoined));
    assertEquals(stored!.detail, event.detail);
    const error = assertThrows(
      () => new PersonJoined({ name: "", age: "old", tags: [5] as unknown as string[] }),
      ValidationError,
    );
    assertEquals(
      new Set(error.issues.map(({ path }) => path)),
      new Set(["detail.name", "detail.age", "detail.tags.0"]),
    );
    assert(error.issues.every(({ message }) => message.length > 0));
  });

  Deno.test(`A schema of ${library} is checked after decoding, and its output is the detail`, () => {
    const codec = new EventCodec(PersonJoined, "events");
    const decode = (detail: unknown) => codec.decode({ position: "1-0", fields: ["payload", encodeDetail(detail)] });
    assertEquals((decode({ name: "Ada", age: "36", more: 1 }) as PersonJoined).detail.age, 36);
    assertEquals((decode({ name: "Ada", age: 36 }) as PersonJoined).detail.tags, []);
    const refusal = decode({ name: "Ada", age: {} }) as Error;
    assert(refusal.cause instanceof ValidationError, refusal.message);
    assertEquals(refusal.cause.issues.map(({ path }) => path)[0], "detail.age");
  });
}

const free = (name: string) => Promise.resolve(name !== "taken");
// arktype has no asynchronous schemas.
const asynchronous = {
  zod: z.object({ name: z.string().refine(free, "it is taken").transform((name) => Promise.resolve(name.trim())) }),
  valibot: v.objectAsync({
    name: v.pipeAsync(
      v.string(),
      v.checkAsync(free, "it is taken"),
      v.transformAsync((name) => Promise.resolve(name.trim())),
    ),
  }),
} satisfies Record<string, StandardSchemaV1>;

for (const [library, schema] of Object.entries(asynchronous)) {
  class NameChosen extends defineEvent("NameChosen", { schema: schema as StandardSchemaV1<{ name: string }> }) {}

  Deno.test(`An asynchronous schema of ${library} is awaited by publish() and by readers`, async () => {
    await using broker = new InMemoryBroker({ events: [NameChosen] });
    const event = new NameChosen({ name: " Ada " });
    await broker.publish(event);
    assertEquals(event.detail, { name: "Ada" });
    const error = await assertRejects(() => broker.publish(new NameChosen({ name: "taken" })), ValidationError);
    assertEquals(error.issues, [{ path: "detail.name", message: "it is taken" }]);
    const stored = await Array.fromAsync(broker.history(NameChosen));
    assertEquals(stored.map(({ detail }) => detail), [{ name: "Ada" }]);
    const codec = new EventCodec(NameChosen, "events");
    const refusal = await codec.decode({ position: "1-0", fields: ["payload", '{"name":"taken"}'] });
    assert((refusal as Error).cause instanceof ValidationError);
  });
}

Deno.test("A sensitive value that arktype quotes is masked in the issues", () => {
  const schema = type({ card: { token: "string.digits", holder: "string.alpha" } });
  class CardCharged extends defineEvent("CardCharged", { schema, sensitive: ["card.token"] }) {}
  const charge = (card: unknown) => () => new CardCharged({ card } as CardCharged["detail"]);
  const error = assertThrows(charge({ token: "tok_1", holder: "Ada!" }), ValidationError);
  const messages = new Map(error.issues.map(({ path, message }) => [path, message]));
  assertEquals(messages.get("detail.card.token"), "***");
  assert(messages.get("detail.card.holder")!.includes("Ada!"));
  assert(!Deno.inspect(error).includes("tok_1"), Deno.inspect(error));
  // The value around it may be quoted as a whole.
  assertEquals(assertThrows(charge("tok_1"), ValidationError).issues[0]!.message, "***");
});
