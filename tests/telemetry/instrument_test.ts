// What instrument() does with its options, with several brokers and providers, and at their ends.

import { assert, assertEquals, assertLess, assertThrows } from "@std/assert";
import { defineEvent, EventBroker, InMemoryBroker } from "@tidings/broker";
import { instrument } from "@tidings/broker/telemetry";
import { prometheusMetrics } from "@tidings/broker/telemetry/prometheus";
import { InMemoryStore } from "../../src/memory/mod.ts";
import type { StreamAdmin } from "../../src/store/mod.ts";
import { Gate, until } from "../../src/testing/_broker_bench.ts";
import { Spans } from "./_otel.ts";
import { checkWithPromtool, measure, scrapeOf } from "./_scrape.ts";

class Ended extends defineEvent("Ended")<{ price: number }> {}
class Paid extends defineEvent("Paid")<{ n: number }> {}
const events = [Ended, Paid];
const paid = (count: number) => Array.from({ length: count }, (_, n) => new Paid({ n }));
const mails = { type: "Paid", group: "mails" };

/** A store whose answers about streams wait while it hangs. */
class HangingStore extends InMemoryStore {
  hanging: Gate | undefined;
  asked = 0;

  override admin(stream: string): StreamAdmin {
    const admin = super.admin(stream);
    return Object.assign(Object.create(admin), {
      info: async () => {
        this.asked++;
        await this.hanging?.opened;
        return await admin.info();
      },
    });
  }
}

Deno.test("instrument() tells two brokers of one registry apart by their attributes", async () => {
  await using first = new InMemoryBroker({ events });
  await using second = new InMemoryBroker({ events });
  await using metrics = prometheusMetrics();
  const { meterProvider } = metrics;
  using _first = instrument(first, { meterProvider, tracerProvider: false, attributes: { shop: "first" } });
  using _second = instrument(second, { meterProvider, tracerProvider: false, attributes: { shop: "second" } });
  await first.publish(paid(1));
  await second.publish(paid(2));
  const scrape = await scrapeOf(metrics);
  for (const [shop, count] of [["first", 1], ["second", 2]] as const) {
    assertEquals(scrape.value("tidings_events_published_total", { type: "Paid", shop }), count);
    assertEquals(scrape.value("tidings_stream_length", { type: "Paid", shop }), count);
    assertEquals(scrape.value("tidings_broker_ready", { shop }), 1);
  }
  await checkWithPromtool(scrape);
});

Deno.test("instrument() shows every group of many types", async () => {
  // More than 2,000 pairs of a type and a group.
  const many = Array.from({ length: 201 }, (_, nth) => defineEvent(`Type${nth}`));
  const groups = Array.from({ length: 10 }, (_, nth) => `group${nth}`);
  await using broker = new InMemoryBroker({ events: many });
  await using metrics = measure(broker);
  for (const group of groups) await broker.subscribe(many, () => {}, { group });
  const { text } = await metrics.scrape();
  for (const name of ["tidings_group_lag", "tidings_events_handled_total"]) {
    assertEquals(text.split(`\n${name}{`).length - 1, 2_010, name);
  }
  assert(!text.includes("overflow"));
});

Deno.test("instrument() shows a stream that classes share once, and asks for it once", async () => {
  class Begun extends defineEvent("Begun", { stream: "Auction" })<{ n: number }> {}
  class Sold extends defineEvent("Sold", { stream: "Auction" })<{ n: number }> {}
  const store = new HangingStore();
  await using broker = new EventBroker(store, { events: [Begun, Sold] });
  await using metrics = measure(broker);
  const subscription = await broker.subscribe(Sold, () => {}, { group: "mails" });
  await broker.publish([new Begun({ n: 1 }), new Sold({ n: 1 })]);
  await broker.idle();
  const place = { type: "Auction", group: "mails" };
  await until(async () => (await metrics.scrape()).value("tidings_events_skipped_total", place) === 1, "all is told");
  // For a subscription, health() would ask too.
  await subscription.close();
  store.asked = 0;
  const scrape = await metrics.scrape();
  assertEquals(store.asked, 1);
  assertEquals(scrape.value("tidings_stream_length"), 2);
  assertEquals(scrape.value("tidings_group_lag", place), 0);
  assertEquals(scrape.value("tidings_events_handled_total", place), 1);
  for (const type of ["Begun", "Sold"]) assertEquals(scrape.value("tidings_events_published_total", { type }), 1);
});

Deno.test("instrument() refuses malformed options, and a second use of the same provider", async () => {
  await using broker = new InMemoryBroker({ events });
  await using metrics = prometheusMetrics();
  using spans = new Spans();
  const { meterProvider } = metrics;
  const tracerProvider = spans.provider;
  const wrong: [options: Record<string, unknown>, message: string][] = [
    [{ tracers: false }, 'Cannot instrument a broker: unknown option "tracers"'],
    [{ tracerProvider: null }, "with the tracerProvider null: it needs getTracer(), or be false"],
    [{ meterProvider: {} }, "with the meterProvider a plain object: it needs getMeter(), or be false"],
    [{ createSpans: 1 }, "with createSpans 1: give true or false"],
    [{ attributes: "shop" }, 'with the attributes "shop": give an object'],
    [{ attributes: { shop: {} } }, 'with a plain object as attribute "shop": give a string, a number or a boolean'],
    [{ stalledAfter: -1 }, "Cannot use -1 as stalledAfter (ms)"],
    [{ tracerProvider, meterProvider: { getMeter: () => ({}) } }, "is not a function"],
  ];
  for (const [options, message] of wrong) assertThrows(() => instrument(broker, options), Error, message);
  assertThrows(() => instrument(undefined as unknown as typeof broker), TypeError, "Cannot instrument undefined");
  {
    // The refused calls have left nothing behind.
    using _telemetry = instrument(broker, { meterProvider, tracerProvider });
    for (const [options, message] of [[{ meterProvider }, "meterProvider"], [{ tracerProvider }, "tracerProvider"]]) {
      const text = `Cannot instrument a broker twice with the same ${message}`;
      assertThrows(() => instrument(broker, options as object), TypeError, text);
    }
    await broker.publish(paid(1));
    assertEquals(spans.all.map(({ name }) => name), ["send Paid"]);
  }
  using _again = instrument(broker, { meterProvider, tracerProvider });
  await broker.publish(paid(1));
  assertEquals((await scrapeOf(metrics)).value("tidings_events_published_total", { type: "Paid" }), 2);
});

Deno.test("instrument() judges readiness by its stalledAfter", async () => {
  await using broker = new InMemoryBroker({ events });
  await using strict = prometheusMetrics();
  await using lenient = measure(broker);
  using _strict = instrument(broker, {
    meterProvider: strict.meterProvider,
    tracerProvider: false,
    stalledAfter: 20,
  });
  const gate = new Gate();
  await broker.subscribe(Paid, () => gate.opened, { group: "mails" });
  await broker.publish(paid(1));
  await until(async () => (await scrapeOf(strict)).value("tidings_broker_ready") === 0, "the handler takes too long");
  assertEquals((await lenient.scrape()).value("tidings_broker_ready"), 1);
  gate.open();
  await until(async () => (await scrapeOf(strict)).value("tidings_broker_ready") === 1, "the handler has ended");
});

Deno.test("instrument() counts the same for each registry of a broker", async () => {
  await using broker = new InMemoryBroker({ events });
  await using first = measure(broker);
  await using second = measure(broker);
  await broker.subscribe(Paid, () => {}, { group: "mails" });
  await broker.publish(paid(3));
  await broker.idle();
  for (const metrics of [first, second]) {
    await until(async () => (await metrics.scrape()).value("tidings_events_handled_total", mails) === 3, "all is told");
    assertEquals((await metrics.scrape()).value("tidings_group_lag", mails), 0);
  }
});

Deno.test("instrument() forgets the gauges of a group that is deleted", async () => {
  await using broker = new InMemoryBroker({ events });
  await using metrics = measure(broker);
  await (await broker.subscribe(Paid, () => {}, { group: "mails" })).close();
  assertEquals((await metrics.scrape()).value("tidings_group_lag", mails), 0);
  await broker.deleteGroup(Paid, { group: "mails" });
  const scrape = await metrics.scrape();
  assertEquals(scrape.value("tidings_group_lag", mails), undefined);
  assertEquals(scrape.value("tidings_stream_length", { type: "Paid" }), 0);
});

Deno.test("instrument() keeps totals and shows no state once it is disposed", async () => {
  await using broker = new InMemoryBroker({ events });
  await using metrics = prometheusMetrics();
  const telemetry = instrument(broker, { meterProvider: metrics.meterProvider, tracerProvider: false });
  await broker.publish(paid(1));
  await scrapeOf(metrics);
  telemetry[Symbol.dispose]();
  telemetry[Symbol.dispose]();
  await broker.publish(paid(1));
  const scrape = await scrapeOf(metrics);
  assertEquals(scrape.value("tidings_events_published_total", { type: "Paid" }), 1);
  assertEquals(scrape.value("tidings_broker_ready"), undefined);
  await checkWithPromtool(scrape);
});

Deno.test("instrument() shows a closed broker as not ready, and no state of its streams", async () => {
  await using broker = new InMemoryBroker({ events });
  await using metrics = measure(broker);
  await broker.subscribe(Paid, () => {}, { group: "mails" });
  await broker.publish(paid(2));
  await broker.idle();
  await broker.close();
  const scrape = await metrics.scrape();
  assertEquals(scrape.value("tidings_broker_ready"), 0);
  assertEquals(scrape.value("tidings_events_handled_total", mails), 2);
  assertEquals(scrape.value("tidings_group_lag", mails), undefined);
  await checkWithPromtool(scrape);
});

Deno.test("instrument() shows totals and no state while the store gives no answer, and asks it only once", async () => {
  const store = new HangingStore();
  await using broker = new EventBroker(store, { events: [Paid] });
  await using metrics = measure(broker);
  await broker.publish(paid(2));
  assertEquals((await metrics.scrape()).value("tidings_stream_length", { type: "Paid" }), 2);
  store.hanging = new Gate();
  store.asked = 0;
  const start = performance.now();
  const scrapes = await Promise.all([metrics.scrape(), metrics.scrape()]);
  scrapes.push(await metrics.scrape());
  // Prometheus gives up after 10 s. Two collections take at least 4 s.
  assertLess(performance.now() - start, 10_000);
  assertEquals(store.asked, 1);
  for (const scrape of scrapes) {
    assertEquals(scrape.value("tidings_events_published_total", { type: "Paid" }), 2);
    assertEquals(scrape.value("tidings_stream_length", { type: "Paid" }), undefined);
    await checkWithPromtool(scrape);
  }
  store.hanging.open();
  store.hanging = undefined;
  await until(async () => (await metrics.scrape()).value("tidings_stream_length") === 2, "the store answers again");
});
