import { assert, assertEquals, assertInstanceOf, assertRejects } from "@std/assert";
import { defineEvent, type DetailCipher, InMemoryBroker, PermanentError, UndecodableError } from "@tidings/broker";
import { z } from "zod";
import { EventCodec } from "../../src/broker/codec/_event_codec.ts";

const schema = z.object({ name: z.string(), secret: z.string() });
class Told extends defineEvent("Told", {
  schema: schema.extend({ secret: z.string().min(3) }),
  version: 2,
  upcast: { 1: ({ was, ...detail }) => ({ ...detail, secret: was }) },
  sensitive: ["secret"],
  encrypt: true,
}) {}

type Sealed = { $enc: string };

/** A cipher that reverses text and records its calls. */
class ReversingCipher implements DetailCipher {
  readonly calls: unknown[] = [];
  failure: Error | undefined;
  shredded = false;

  async seal(detail: unknown, { type, subject, paths }: Parameters<DetailCipher["seal"]>[1]): Promise<unknown> {
    this.calls.push(["seal", type, subject, paths]);
    await Promise.resolve();
    if (this.failure) throw this.failure;
    const { secret, ...rest } = detail as { secret: string };
    return { ...rest, secret: { $enc: reversed(secret) } };
  }

  async open(detail: unknown, event: Parameters<DetailCipher["open"]>[1]): ReturnType<DetailCipher["open"]> {
    this.calls.push(["open", event.type, event.subject]);
    await Promise.resolve();
    if (this.failure) throw this.failure;
    const open = (value: unknown) =>
      value instanceof Object ? this.shredded ? null : reversed((value as Sealed).$enc) : value;
    const opened = Object.entries(detail as object).map(([key, value]) => [key, open(value)]);
    return { detail: Object.fromEntries(opened), shredded: this.shredded };
  }
}

const reversed = (text: string) => [...text].reverse().join("");

Deno.test("publish() stores the encrypted detail, and readers receive the decrypted one", async () => {
  const cipher = new ReversingCipher();
  await using broker = new InMemoryBroker({ events: [Told], encryption: cipher });
  const event = new Told({ name: "Ada", secret: "abc" }, { subject: "ada" });
  await broker.publish(event);
  assertEquals(event.detail, { name: "Ada", secret: "abc" });
  assertEquals(cipher.calls, [["seal", "Told", "ada", ["secret"]]]);
  const handled = Promise.withResolvers<Told>();
  await broker.subscribe(Told, (event) => handled.resolve(event), { group: "group" });
  assertEquals((await handled.promise).detail, { name: "Ada", secret: "abc" });
  assertEquals(cipher.calls.at(-1), ["open", "Told", "ada"]);
  cipher.failure = new Error("The key store is unreachable");
  const other = new Told({ name: "Bob", secret: "def" }, { subject: "bob" });
  await assertRejects(() => broker.publish(other), Error, "could not be encrypted: The key store is unreachable");
  cipher.failure = undefined;
  await broker.publish(other);
  assertEquals((await Array.fromAsync(broker.history(Told))).map(({ detail }) => detail.name), ["Ada", "Bob"]);
});

Deno.test("EventCodec.decode() decrypts, then upcasts, then validates, except for a shredded detail", async () => {
  const cipher = new ReversingCipher();
  const codec = new EventCodec(Told, "events", cipher);
  const decode = (payload: unknown, ...more: string[]) =>
    codec.decode({ position: "1-0", fields: ["id", "t-1", "payload", JSON.stringify(payload), ...more] });
  const old = await decode({ name: "Ada", was: { $enc: "cba" } });
  assertEquals((old as Told).detail, { name: "Ada", secret: "abc" });
  const short = await decode({ name: "Ada", secret: { $enc: "x" } }, "version", "2");
  assertInstanceOf(short, UndecodableError);
  assertEquals((short.cause as { issues?: unknown }).issues, [{ path: "detail.secret", message: "***" }]);
  cipher.shredded = true;
  const shredded = await decode({ name: "Ada", was: { $enc: "cba" } });
  assertEquals((shredded as Told).detail as unknown, { name: "Ada", secret: null });
  // A detail that was never encrypted needs no cipher, and no promise.
  assert(decode({ name: "Ada", secret: "plain" }, "version", "2") instanceof Told);
});

Deno.test("EventCodec.decode() distinguishes an unreachable key store from a broken ciphertext", async () => {
  const cipher = new ReversingCipher();
  const codec = new EventCodec(Told, "events", cipher);
  const fields = ["id", "t-1", "payload", '{"name":"Ada","secret":{"$enc":"cba"}}', "version", "2"];
  cipher.failure = new TypeError("fetch failed");
  const error = await assertRejects(async () => await codec.decode({ position: "1-0", fields }), Error);
  assertEquals([error.message, error.cause], ["Cannot decode Told at 1-0: fetch failed", cipher.failure]);
  cipher.failure = new PermanentError("its ciphertext is broken");
  const broken = await codec.decode({ position: "1-0", fields });
  assertInstanceOf(broken, UndecodableError);
  assertEquals(broken.message, "Cannot decode Told at 1-0: its ciphertext is broken");
  assertEquals(codec.encode(new Told({ name: "a", secret: "bcd" }, { subject: "s" }), "{}").slice(2, 4), [
    "payload",
    "{}",
  ]);
});
