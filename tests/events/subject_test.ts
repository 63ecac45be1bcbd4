import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { connect, defineEvent, InMemoryBroker } from "@tidings/broker";
import { z } from "zod";

class Bid extends defineEvent("Bid", { subject: "auction.id" })<{ auction: { id: string } }> {}

Deno.test("subject names the path where a class finds the subject of its events", () => {
  assertEquals(new Bid({ auction: { id: "a-1" } }).subject, "a-1");
  assertEquals(new Bid({ auction: { id: "a-1" } }, { subject: "a-1" }).subject, "a-1");
});

Deno.test("an event whose detail has no valid subject at the path cannot be constructed", () => {
  const wrong: unknown[] = [5, "", null, undefined, {}, "a\nb", "\ud800"];
  for (const id of wrong) {
    const error = assertThrows(() => new Bid({ auction: { id } } as { auction: { id: string } }), TypeError);
    assertEquals(error.message.startsWith('Cannot construct "Bid": its subject, detail.auction.id, is '), true);
  }
  for (
    const detail of [null, undefined, 5, "auction", {}, { auction: null }, Object.create({ auction: { id: "a" } })]
  ) {
    assertThrows(() => new Bid(detail), TypeError, "its subject, detail.auction.id, is undefined");
  }
});

Deno.test("an explicit subject that is another one than the detail's is refused, naming both", () => {
  const { message } = assertThrows(() => new Bid({ auction: { id: "a-1" } }, { subject: "a-2" }), TypeError);
  assertEquals(
    message,
    'Cannot construct "Bid" with the subject "a-2": the class takes it from detail.auction.id, which is "a-1"; leave the ' +
      "subject out",
  );
});

Deno.test("the subject comes from the schema's output, and without a schema's answer from what was given", () => {
  const schema = z.object({ id: z.string().transform((id) => id.toLowerCase()).pipe(z.string()) });
  class Lowered extends defineEvent("Lowered", { schema, subject: "id" }) {}
  assertEquals(new Lowered({ id: "A-1" }).subject, "a-1");
});

Deno.test("an event keeps its subject when it is published and read back", async () => {
  await using broker = new InMemoryBroker({ events: [Bid] });
  await broker.publish(new Bid({ auction: { id: "a-1" } }));
  assertEquals(await Array.fromAsync(broker.history(Bid), ({ subject }) => subject), ["a-1"]);
});

Deno.test("publish() refuses an event whose detail has got another subject since, naming both", async () => {
  await using broker = new InMemoryBroker({ events: [Bid] });
  const detail = { auction: { id: "a-1" } };
  const changed = new Bid(detail);
  detail.auction.id = "a-2";
  for (const events of [changed, [changed]] as const) {
    const { message } = await assertRejects(async () => await broker.publish(events as Bid), TypeError);
    assertEquals(
      message,
      'Cannot publish "Bid" with the subject "a-1": its detail.auction.id is "a-2" by now; make a new event of the ' +
        "changed detail",
    );
  }
  detail.auction.id = "a-1";
  await broker.publish(changed);
  assertEquals(changed.subject, "a-1");
});

Deno.test("publish() refuses an event whose asynchronous schema changes the subject", async () => {
  const schema = z.object({ id: z.string().transform((id) => Promise.resolve(id.toLowerCase())).pipe(z.string()) });
  class Lowered extends defineEvent("Lowered", { schema, subject: "id" }) {}
  await using broker = new InMemoryBroker({ events: [Lowered] });
  await assertRejects(() => broker.publish(new Lowered({ id: "A-1" })), TypeError, 'its detail.id is "a-1" by now');
  await broker.publish(new Lowered({ id: "a-1" }));
  assertEquals(await Array.fromAsync(broker.history(Lowered), ({ subject }) => subject), ["a-1"]);
});

Deno.test("an event that was stored without a subject has the one of its detail", async () => {
  class Before extends defineEvent("Upgraded")<{ id: string }> {}
  class After extends defineEvent("Upgraded", { subject: "id" })<{ id: string }> {}
  const name = crypto.randomUUID();
  await using before = await connect(`memory:${name}`, { events: [Before] });
  await using after = await connect(`memory:${name}`, { events: [After] });
  await before.publish([new Before({ id: "a-1" }), new Before({} as { id: string })]);
  assertEquals(await Array.fromAsync(after.history(After), ({ subject }) => subject), ["a-1", undefined]);
});

Deno.test("a subject that is no path is refused when the class is defined", () => {
  for (const subject of ["", "a..b", ".a", 5, null]) {
    assertThrows(() => defineEvent("Bid", { subject: subject as string }), TypeError, "with the subject");
  }
});
