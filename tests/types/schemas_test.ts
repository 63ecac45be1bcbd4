// Uses of schemas that the types must accept and, after @ts-expect-error, must refuse. The type check is the test.
import { defineEvent, type DetailCipher, InMemoryBroker, ValidationError, type ValidationIssue } from "@tidings/broker";
import { assertEquals } from "@std/assert";
import { type } from "npm:arktype@^2.2";
import * as v from "npm:valibot@^1";

class Priced extends defineEvent("Priced", {
  schema: v.object({ price: v.number(), currency: v.optional(v.string(), "EUR") }),
  sensitive: ["price"],
}) {}

class Named extends defineEvent("Named", { schema: type({ name: "string", "age?": "number" }), encrypt: false }) {}

class Awaited extends defineEvent("Awaited", {
  schema: v.objectAsync({ name: v.pipeAsync(v.string(), v.checkAsync(() => Promise.resolve(true))) }),
}) {}

/** Never called, only type-checked. */
export async function allowedAndRefused(cipher: DetailCipher): Promise<readonly ValidationIssue[]> {
  const currency: string = new Priced({ price: 1 }).detail.currency;
  const age: number | undefined = new Named({ name: currency }).detail.age;
  const name: string = new Awaited({ name: "a" }).detail.name;
  // @ts-expect-error a detail of another shape
  new Priced({ price: name });
  // @ts-expect-error a detail of another shape
  new Named({ name: age });
  // @ts-expect-error a detail of another shape, also of an asynchronous schema
  new Awaited({ name: 1 });
  // @ts-expect-error a sensitive path that the schema does not have
  defineEvent("X", { schema: type({ name: "string" }), sensitive: ["nam"] });
  // @ts-expect-error neither true nor false
  defineEvent("X", { encrypt: "yes", sensitive: ["name"] });
  await using broker = new InMemoryBroker({ events: [Priced, Named, Awaited], encryption: cipher });
  // @ts-expect-error no cipher
  new InMemoryBroker({ events: [Priced], encryption: {} });
  for await (const letter of broker.deadLetters(Priced, { group: "g" })) {
    const path: string | undefined = letter.error.issues?.[0]?.path;
    const why: Error | undefined = letter.undecodable;
    if (why?.cause instanceof ValidationError) return why.cause.issues;
    // @ts-expect-error the issues are read-only
    letter.error.issues?.push({ path: path ?? "", message: "" });
  }
  return [];
}

Deno.test("a valibot schema's defaults are in the detail, as its type says", () => {
  assertEquals(new Priced({ price: 1 }).detail.currency, "EUR");
});
