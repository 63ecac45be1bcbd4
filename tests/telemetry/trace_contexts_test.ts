// What the spans of handlers are parents of, and which trace an event's deliveries belong to.

import { assert, assertEquals } from "@std/assert";
import { context, propagation, ROOT_CONTEXT } from "@opentelemetry/api";
import { W3CTraceContextPropagator } from "npm:@opentelemetry/core@^2";
import { connect, defineEvent, EventBroker, InMemoryBroker } from "@tidings/broker";
import { instrument } from "@tidings/broker/telemetry";
import { InMemoryStore } from "../../src/memory/mod.ts";
import { settled, until } from "../../src/testing/_broker_bench.ts";
import { idOf, linksOf, Spans, traceOf } from "./_otel.ts";

class Ended extends defineEvent("Ended")<{ n: number }> {}
class Paid extends defineEvent("Paid")<{ n: number }> {}
const events = [Ended, Paid];
const SOON = { minTimeout: 1 };

/** Makes a span of the user's own. */
const own = (spans: Spans, name: string) => spans.provider.getTracer("user").startSpan(name).end();

/** The name of a span's parent; undefined for the first of a trace. */
function parentsOf(spans: Spans, name: string): (string | undefined)[] {
  const names = new Map(spans.all.map((span) => [idOf(span), span.name]));
  return spans.named(name).map(({ parentSpanContext }) => parentSpanContext && names.get(parentSpanContext.spanId));
}

Deno.test("instrument() has all that a handler starts hang below its attempt: timers, streams, promises", async () => {
  using spans = new Spans();
  await using broker = new InMemoryBroker({ events });
  using _telemetry = instrument(broker, { tracerProvider: spans.provider, meterProvider: false });
  const attempts: string[] = [];
  const handler = async ({ detail: { n } }: Ended, { attempt }: { attempt: number }) => {
    const name = (what: string) => `${n} ${attempt} ${what}`;
    attempts.push(name(""));
    await new Promise((resolve) => setTimeout(resolve, 1));
    own(spans, name("after await"));
    const timer = new Promise<void>((resolve) =>
      setTimeout(() => {
        own(spans, name("in a timer"));
        resolve();
      }, 1)
    );
    const stream = new ReadableStream({
      pull(controller) {
        own(spans, name("in a stream"));
        controller.close();
      },
    });
    await Promise.all([timer, stream.getReader().read()]);
    await broker.publish([new Paid({ n }), new Paid({ n })]);
    if (n % 2 === 0 && attempt === 1) throw new Error("the first time fails");
  };
  const options = { group: "payments", concurrency: 4, key: ({ detail }: Ended) => `${detail.n % 3}`, retry: SOON };
  // The span that is active when the handler is subscribed has nothing to do with its attempts.
  await spans.provider.getTracer("user").startActiveSpan("start-up", async (span) => {
    await broker.subscribe(Ended, handler, options);
    span.end();
  });
  await broker.publish(Array.from({ length: 8 }, (_, n) => new Ended({ n })));
  await broker.idle({ group: "payments" });

  const attemptsByTrace = new Map(spans.named("process Ended").map((span) => [idOf(span), span]));
  assertEquals([attempts.length, attemptsByTrace.size], [12, 12]);
  for (const attempt of attempts) {
    const below = ["after await", "in a timer", "in a stream"].map((what) => spans.named(`${attempt}${what}`));
    const [parent, ...others] = new Set(below.map(([span]) => span!.parentSpanContext!.spanId));
    assertEquals([below.flat().length, others], [3, []], attempt);
    assert(attemptsByTrace.has(parent!), attempt);
    const made = [...spans.named("create Paid"), ...spans.named("send Paid")];
    assertEquals(made.filter((span) => span.parentSpanContext?.spanId === parent).length, 3, attempt);
  }
  assertEquals(new Set(parentsOf(spans, "process Ended")), new Set(["create Ended"]));
});

Deno.test("instrument() makes a publish a child of the active span, as in a handler of a server", async () => {
  using spans = new Spans();
  await using broker = new InMemoryBroker({ events });
  using _telemetry = instrument(broker, { tracerProvider: spans.provider, meterProvider: false });
  await broker.subscribe(Paid, () => own(spans, "handled"), { group: "mails" });
  const tracer = spans.provider.getTracer("user");
  await using server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    (request) =>
      tracer.startActiveSpan(new URL(request.url).pathname, async (span) => {
        await Promise.resolve();
        await broker.publish(new Paid({ n: 1 }));
        span.end();
        return new Response("published");
      }),
  );
  const pages = ["/first", "/second"];
  await Promise.all(
    pages.map(async (path) => await (await fetch(`http://127.0.0.1:${server.addr.port}${path}`)).text()),
  );
  await broker.publish(new Paid({ n: 2 }));
  await broker.idle();
  assertEquals(parentsOf(spans, "send Paid").sort(), [...pages, undefined]);
  assertEquals(parentsOf(spans, "handled"), Array(3).fill("process Paid"));
  for (const page of pages) {
    const [request] = spans.named(page);
    assertEquals(spans.named("handled").filter((span) => traceOf(span) === traceOf(request!)).length, 1);
  }
});

Deno.test("instrument() continues the trace of an event that comes back from a consumer that died", async () => {
  using spans = new Spans();
  const store = new InMemoryStore();
  await using broker = new EventBroker(store, { events });
  using _telemetry = instrument(broker, { tracerProvider: spans.provider, meterProvider: false });
  await broker.publish(new Paid({ n: 1 }));
  const member = await store.member("events:Paid", "mails", { consumer: "dying", lease: 50, startFrom: "beginning" });
  assertEquals((await member.claim({ limit: 1, signal: AbortSignal.timeout(5_000) })).records.length, 1);
  await broker.subscribe(Paid, (_, { attempt }) => {
    if (attempt === 1) throw new Error("the first time fails");
  }, { group: "mails", retry: SOON });
  await settled(broker, Paid, "mails");
  await until(() => spans.named("settle Paid").length === 2, "all is settled");
  const attempts = spans.named("process Paid");
  assertEquals(attempts.map(({ attributes }) => attributes["tidings.delivery.recovered"]), [1, 0]);
  assertEquals(parentsOf(spans, "process Paid"), ["send Paid", "send Paid"]);
  assertEquals(new Set(spans.all.map(traceOf)), new Set([traceOf(spans.named("send Paid")[0]!)]));
});

Deno.test("instrument() shows a dead letter in the trace of its event, also if no handler was called", async () => {
  using spans = new Spans();
  const url = `memory:${crypto.randomUUID()}`;
  class Unlike extends defineEvent("Paid", { upcast: {}, version: 2 })<string> {}
  await using publisher = await connect(url, { events: [Paid] });
  await using broker = await connect(url, { events: [Unlike] });
  for (const each of [publisher, broker]) {
    instrument(each as EventBroker, { tracerProvider: spans.provider, meterProvider: false });
  }
  await publisher.publish([new Paid({ n: 1 }), new Paid({ n: 2 })]);
  await broker.subscribe(Unlike, () => {}, { group: "mails", startFrom: "beginning", prefetch: 1 });
  await until(() => spans.named("settle Paid").length === 2, "both are settled");
  assertEquals(parentsOf(spans, "settle Paid"), ["create Paid", "create Paid"]);
  assertEquals(spans.named("settle Paid").flatMap(linksOf), spans.named("create Paid").map(idOf));
  assertEquals(spans.named("settle Paid").map(({ attributes }) => attributes["tidings.delivery.outcome"]), [
    "dead",
    "dead",
  ]);
});

Deno.test("a consume() loop continues the trace by the traceparent of its event", async () => {
  using spans = new Spans();
  await using broker = new InMemoryBroker({ events });
  using _telemetry = instrument(broker, { tracerProvider: spans.provider, meterProvider: false });
  await broker.publish(new Ended({ n: 1 }));
  propagation.setGlobalPropagator(new W3CTraceContextPropagator());
  try {
    for await (const { event } of broker.consume(Ended, { group: "payments" })) {
      const cause = propagation.extract(ROOT_CONTEXT, { traceparent: event.traceparent });
      await context.with(cause, () => broker.publish(new Paid({ n: 1 })));
      break;
    }
  } finally {
    propagation.disable();
  }
  assertEquals(parentsOf(spans, "send Paid"), ["send Ended"]);
});
