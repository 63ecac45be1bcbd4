import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { SpanStatusCode, trace } from "@opentelemetry/api";
import { defineEvent, InMemoryBroker, PermanentError } from "@tidings/broker";
import { instrument } from "@tidings/broker/telemetry";
import { until } from "../../src/testing/_broker_bench.ts";
import { idOf, kindOf, linksOf, Spans, traceOf } from "./_otel.ts";

class Ended extends defineEvent("Ended", { sensitive: ["card"] })<{ price: number; card: string }> {}
class Paid extends defineEvent("Paid")<{ amount: number }> {}
const events = [Ended, Paid];
const detail = { price: 5, card: "4111-1111" };
const SOON = { minTimeout: 1 };

Deno.test("instrument() traces an event from publish() through retries to what its handlers publish", async () => {
  using spans = new Spans();
  await using broker = new InMemoryBroker({ events });
  using _telemetry = instrument(broker, { tracerProvider: spans.provider, meterProvider: false });
  let attempts = 0;
  await broker.subscribe(Ended, async ({ detail }) => {
    if (++attempts === 1) throw new TypeError("the first time fails");
    spans.provider.getTracer("user").startSpan("the user's own").end();
    await broker.publish(new Paid({ amount: detail.price }));
  }, { group: "payments", retry: SOON });
  await broker.subscribe(Paid, () => {}, { group: "mails" });
  const event = new Ended(detail);
  await broker.publish(event);
  await broker.idle();
  await until(() => spans.named("settle Paid").length === 1, "all is settled");

  const [send] = spans.named("send Ended");
  const [failed, succeeded] = spans.named("process Ended");
  const [own] = spans.named("the user's own");
  const [sendPaid] = spans.named("send Paid");
  const [processPaid] = spans.named("process Paid");
  const [settleFailed, settleSucceeded] = spans.named("settle Ended");
  assertEquals(new Set(spans.all.map(traceOf)), new Set([traceOf(send!)]));
  const parents = [send, failed, succeeded, own, sendPaid, processPaid, settleFailed, settleSucceeded]
    .map((span) => span!.parentSpanContext?.spanId);
  assertEquals(parents, [
    undefined,
    idOf(send!),
    idOf(send!),
    idOf(succeeded!),
    idOf(succeeded!),
    idOf(sendPaid!),
    idOf(failed!),
    idOf(succeeded!),
  ]);
  assertEquals([kindOf(send!), kindOf(failed!), kindOf(settleFailed!)], ["PRODUCER", "CONSUMER", "CLIENT"]);
  assertEquals(linksOf(failed!), [idOf(send!)]);
  assertEquals(send!.attributes, {
    "messaging.system.name": "tidings",
    "messaging.system": "tidings",
    "messaging.destination.name": "Ended",
    "messaging.operation.name": "send",
    "messaging.operation.type": "send",
    "messaging.message.id": event.id,
  });
  const { "messaging.client.id": consumer, ...attributes } = failed!.attributes;
  assertEquals(typeof consumer, "string");
  assertEquals(attributes, {
    "messaging.system.name": "tidings",
    "messaging.system": "tidings",
    "messaging.destination.name": "Ended",
    "messaging.operation.name": "process",
    "messaging.operation.type": "process",
    "messaging.message.id": event.id,
    "messaging.consumer.group.name": "payments",
    "tidings.delivery.attempt": 1,
    "tidings.delivery.recovered": 0,
    "tidings.delivery.outcome": "retry",
    "tidings.retry.delay_ms": failed!.attributes["tidings.retry.delay_ms"]!,
    "error.type": "TypeError",
  });
  assertEquals(failed!.status, { code: SpanStatusCode.ERROR, message: "the first time fails" });
  assertEquals(sendPaid!.attributes["messaging.message.conversation_id"], event.id);
  const told = spans.all.map(({ name, attributes, events }) => JSON.stringify([name, attributes, events]));
  assert(told.every((text) => !text.includes(detail.card)));
});

Deno.test("instrument() gives each event of an array a trace context of its own", async () => {
  using spans = new Spans();
  await using broker = new InMemoryBroker({ events });
  using _telemetry = instrument(broker, { tracerProvider: spans.provider, meterProvider: false });
  const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  const published = [new Paid({ amount: 1 }), new Paid({ amount: 2 }), new Paid({ amount: 3 }, { traceparent })];
  await broker.publish(published);
  const created = spans.named("create Paid");
  const [send] = spans.named("send Paid");
  assertEquals([created.length, kindOf(created[0]!), kindOf(send!)], [2, "PRODUCER", "CLIENT"]);
  assertNotEquals(traceOf(created[0]!), traceOf(created[1]!));
  assertEquals(linksOf(send!), [...created.map(idOf), "b7ad6b7169203331"]);
  assertEquals(send!.attributes["messaging.batch.message_count"], 3);
  const stored = await Array.fromAsync(broker.history(Paid), (event) => event.traceparent!.split("-").slice(1, 3));
  assertEquals(stored, [
    ...created.map((span) => [traceOf(span), idOf(span)]),
    ["0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"],
  ]);
});

Deno.test("instrument() without createSpans lets all events of an array continue at the send span", async () => {
  using spans = new Spans();
  await using broker = new InMemoryBroker({ events });
  using _telemetry = instrument(broker, { tracerProvider: spans.provider, meterProvider: false, createSpans: false });
  await broker.publish([new Paid({ amount: 1 }), new Ended(detail)]);
  const [send] = spans.named("send");
  assertEquals([spans.all.length, kindOf(send!)], [1, "PRODUCER"]);
  for await (const { traceparent } of broker.history(events)) assertEquals(traceparent!.split("-")[2], idOf(send!));
});

Deno.test("instrument() continues the trace of an event that is redriven", async () => {
  using spans = new Spans();
  await using broker = new InMemoryBroker({ events });
  using _telemetry = instrument(broker, { tracerProvider: spans.provider, meterProvider: false });
  let broken = true;
  await broker.subscribe(Paid, () => {
    if (broken) throw new PermanentError("never");
  }, { group: "mails" });
  await broker.publish(new Paid({ amount: 1 }));
  await broker.idle();
  broken = false;
  assertEquals(await broker.redrive(Paid, { group: "mails" }), 1);
  await until(() => spans.named("process Paid").length === 2, "it is handled again");
  const [send] = spans.named("send Paid");
  const [dead, again] = spans.named("process Paid");
  assertEquals([traceOf(dead!), traceOf(again!)], [traceOf(send!), traceOf(send!)]);
  assertEquals([dead, again].map((span) => span!.attributes["tidings.delivery.outcome"]), ["dead", "ack"]);
  const [redrive] = spans.named("redrive Paid");
  assertEquals(redrive!.attributes["messaging.consumer.group.name"], "mails");
  assertEquals(redrive!.attributes["messaging.batch.message_count"], 1);
});

Deno.test("instrument() traces pulled deliveries, and settlements in batches by links", async () => {
  using spans = new Spans();
  await using broker = new InMemoryBroker({ events });
  using _telemetry = instrument(broker, { tracerProvider: spans.provider, meterProvider: false });
  await broker.publish([1, 2, 3].map((amount) => new Paid({ amount })));
  const settled: Promise<void>[] = [];
  for await (const delivery of broker.consume(Paid, { group: "mails" })) {
    settled.push(delivery.ack());
    if (settled.length === 3) break;
  }
  await Promise.all(settled);
  const received = spans.named("receive Paid");
  assertEquals([received.length, kindOf(received[0]!)], [3, "CLIENT"]);
  assertEquals(received.flatMap(linksOf), spans.named("create Paid").map(idOf));
  assertEquals(spans.named("settle Paid").flatMap(linksOf).toSorted(), received.map(idOf).toSorted());
});

Deno.test("instrument() survives whatever a handler throws", async () => {
  using spans = new Spans();
  await using broker = new InMemoryBroker({ events });
  using _telemetry = instrument(broker, { tracerProvider: spans.provider, meterProvider: false });
  const hostile = new Proxy({}, {
    get() {
      throw new Error("a getter");
    },
  });
  const thrown: unknown[] = [undefined, null, "text", hostile, Object.assign(new Error(), { name: "no name\n" })];
  await broker.subscribe(Paid, ({ detail }) => {
    throw thrown[detail.amount];
  }, { group: "mails", retry: { maxAttempts: 1 } });
  await broker.publish(thrown.map((_, amount) => new Paid({ amount })));
  await broker.idle();
  const ends = spans.named("process Paid").map(({ attributes, status }) => [attributes["error.type"], status.code]);
  assertEquals(ends.map(([type]) => type), Array(5).fill("_OTHER"));
  assert(ends.every(([, code]) => code === SpanStatusCode.ERROR));
});

Deno.test("instrument() makes nothing once it is disposed, and works without an SDK", async () => {
  using spans = new Spans();
  await using broker = new InMemoryBroker({ events });
  using _withoutSdk = instrument(broker);
  const telemetry = instrument(broker, { tracerProvider: spans.provider, meterProvider: false });
  telemetry[Symbol.dispose]();
  await broker.publish(new Paid({ amount: 1 }));
  assertEquals(spans.all.length, 0);
  assertEquals(trace.getActiveSpan(), undefined);
  const [event] = await Array.fromAsync(broker.history(Paid));
  assertEquals(event!.traceparent, undefined);
});

Deno.test("instrument() makes spans as soon as a global provider is registered", async () => {
  using spans = new Spans();
  await using broker = new InMemoryBroker({ events });
  using _telemetry = instrument(broker);
  await broker.publish(new Paid({ amount: 1 }));
  try {
    trace.setGlobalTracerProvider(spans.provider);
    await broker.publish(new Paid({ amount: 2 }));
  } finally {
    trace.disable();
  }
  assertEquals(spans.all.map(({ name }) => name), ["send Paid"]);
  assertEquals(spans.all[0]!.instrumentationScope.schemaUrl, "https://opentelemetry.io/schemas/1.45.0");
});
