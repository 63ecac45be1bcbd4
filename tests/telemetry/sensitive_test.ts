// No signal shows a sensitive field: not of an event that is refused, that cannot be decoded or that is encrypted.

import { assert, assertEquals, assertRejects } from "@std/assert";
import { connect, defineEvent, type EventBroker, PermanentError, ValidationError } from "@tidings/broker";
import { FieldEncryption, InMemoryKeyStore } from "@tidings/broker/encryption";
import { instrument } from "@tidings/broker/telemetry";
import { prometheusMetrics } from "@tidings/broker/telemetry/prometheus";
import { z } from "zod";
import { until } from "../../src/testing/_broker_bench.ts";
import { Spans } from "./_otel.ts";
import { scrapeOf } from "./_scrape.ts";

const SECRET = "4111-1111";
// An asynchronous schema is asked only by publish(), and a message of its own shows the value.
const schema = z.object({
  n: z.number(),
  card: z.string().refine((card) => Promise.resolve(!card.startsWith("stolen")), {
    error: ({ input }) => `the card ${input} is stolen`,
  }),
});
class Open extends defineEvent("Open", { schema, sensitive: ["card"] }) {}
class Sealed extends defineEvent("Sealed", { schema, sensitive: ["card"], encrypt: true }) {}
// The same types, published by a program without the schema.
class AnyOpen extends defineEvent("Open")<Record<string, unknown>> {}
class AnySealed extends defineEvent("Sealed")<Record<string, unknown>> {}

Deno.test("instrument() shows no sensitive field, whatever becomes of an event", async () => {
  using spans = new Spans();
  await using metrics = prometheusMetrics();
  const url = `memory:${crypto.randomUUID()}`;
  const encryption = new FieldEncryption({ keys: new InMemoryKeyStore() });
  await using broker = await connect(url, { events: [Open, Sealed], encryption });
  await using neighbour = await connect(url, { events: [AnyOpen, AnySealed] });
  const providers = { tracerProvider: spans.provider, meterProvider: metrics.meterProvider };
  using _telemetry = instrument(broker, providers);
  using _neighbours = instrument(neighbour as unknown as EventBroker, {
    ...providers,
    attributes: { of: "neighbour" },
  });

  const event = (Class: typeof Open | typeof Sealed, card: string) => new Class({ n: 1, card }, { subject: "bidder" });
  for (const Class of [Open, Sealed]) {
    await broker.publish(event(Class, SECRET));
    await assertRejects(() => broker.publish(event(Class, `stolen ${SECRET}`)), ValidationError);
  }
  await assertRejects(() => broker.publish([event(Open, `stolen ${SECRET}`), event(Sealed, `stolen ${SECRET}`)]));
  await neighbour.publish([
    new AnyOpen({ n: SECRET, card: SECRET }),
    new AnyOpen({ n: 1, card: `stolen ${SECRET}` }),
    new AnySealed({ n: 1, card: `stolen ${SECRET}` }),
  ]);
  for (const Class of [Open, Sealed]) {
    await broker.subscribe(Class, (_, { attempt }) => {
      throw attempt === 1 ? new Error("the first time fails") : new PermanentError("never");
    }, { group: "mails", startFrom: "beginning", retry: { minTimeout: 1 } });
  }
  await broker.idle();
  await until(
    async () => (await scrapeOf(metrics)).value("tidings_events_dead_lettered_total", { group: "mails" }) === 5,
    "all events have become dead letters",
  );

  const { text } = await scrapeOf(metrics);
  const told = spans.all.map(({ name, attributes, events, status, links }) =>
    JSON.stringify([name, attributes, events, status, links])
  );
  const refused = told.filter((text) => text.includes("ValidationError"));
  assertEquals(refused.length, 3);
  for (const signal of [text, ...told]) assert(!signal.includes(SECRET), signal);
});
