import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { diag, DiagLogLevel, type Meter } from "@opentelemetry/api";
import { defineEvent, InMemoryBroker } from "@tidings/broker";
import { instrument } from "@tidings/broker/telemetry";
import { type PrometheusMetrics, prometheusMetrics } from "@tidings/broker/telemetry/prometheus";
import { Gate } from "../../src/testing/_broker_bench.ts";
import { checkWithPromtool, Scrape, scrapeOf } from "./_scrape.ts";

class Paid extends defineEvent("Paid")<{ n: number }> {}
const URL = "http://127.0.0.1/metrics";

/** A meter of a user. */
function meterOf({ meterProvider }: PrometheusMetrics, name = "shop"): Meter {
  return meterProvider.getMeter(name) as Meter;
}

/** Errors that OpenTelemetry's own log gets until it is disposed. */
function logged(): { readonly errors: unknown[][] } & Disposable {
  const errors: unknown[][] = [];
  const none = () => {};
  const log = {
    error: (...args: unknown[]) => void errors.push(args),
    warn: none,
    info: none,
    debug: none,
    verbose: none,
  };
  diag.setLogger(log, { logLevel: DiagLogLevel.ERROR, suppressOverrideMessage: true });
  return { errors, [Symbol.dispose]: () => diag.disable() };
}

Deno.test("prometheusMetrics() answers a server's scrapes in the format that Prometheus reads", async () => {
  await using broker = new InMemoryBroker({ events: [Paid] });
  await using metrics = prometheusMetrics();
  using _telemetry = instrument(broker, { meterProvider: metrics.meterProvider, tracerProvider: false });
  await broker.publish(new Paid({ n: 1 }));
  await using server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, metrics.handler);
  const response = await fetch(`http://127.0.0.1:${server.addr.port}/metrics`);
  assertEquals([response.status, response.headers.get("content-type")], [
    200,
    "text/plain; version=0.0.4; charset=utf-8",
  ]);
  const scrape = new Scrape(await response.text());
  assert(scrape.text.endsWith("\n"));
  assertEquals(scrape.value("tidings_events_published_total", { type: "Paid" }), 1);
  await checkWithPromtool(scrape);
});

Deno.test("prometheusMetrics() answers HEAD without a body, and refuses other methods", async () => {
  await using metrics = prometheusMetrics();
  const head = await metrics.handler(new Request(URL, { method: "HEAD" }));
  assertEquals([head.status, head.body, head.headers.get("content-type")], [
    200,
    null,
    "text/plain; version=0.0.4; charset=utf-8",
  ]);
  for (const method of ["POST", "PUT", "DELETE", "OPTIONS"]) {
    const refused = await metrics.handler(new Request(URL, { method }));
    assertEquals([refused.status, refused.headers.get("allow")], [405, "GET, HEAD"]);
    assertEquals(await refused.text(), `Cannot answer ${method}: metrics are read by GET or HEAD\n`);
  }
});

Deno.test("prometheusMetrics() answers 503 once it is disposed, while the broker goes on", async () => {
  await using broker = new InMemoryBroker({ events: [Paid] });
  const metrics = prometheusMetrics();
  using _telemetry = instrument(broker, { meterProvider: metrics.meterProvider, tracerProvider: false });
  // A scrape that has begun is answered.
  const [begun] = await Promise.all([
    scrapeOf(metrics),
    metrics[Symbol.asyncDispose](),
    metrics[Symbol.asyncDispose](),
  ]);
  assertEquals(begun.value("tidings_broker_ready"), 1);
  await broker.publish(new Paid({ n: 1 }));
  for (const method of ["GET", "HEAD"]) {
    assertEquals((await metrics.handler(new Request(URL, { method }))).status, 503);
  }
  const refused = await metrics.handler(new Request(URL));
  assertEquals(await refused.text(), "Cannot collect metrics: they are disposed\n");
  // Instruments that are made afterwards measure nothing.
  await using other = new InMemoryBroker({ events: [Paid] });
  using _late = instrument(other, { meterProvider: metrics.meterProvider, tracerProvider: false });
  for (const each of [broker, other]) await each.publish(new Paid({ n: 2 }));
});

Deno.test("prometheusMetrics() has an empty text before there are metrics", async () => {
  await using metrics = prometheusMetrics();
  assertEquals((await scrapeOf(metrics)).text, "");
  meterOf(metrics).createCounter("orders");
  assertEquals((await scrapeOf(metrics)).samples, []);
});

Deno.test("prometheusMetrics() writes units in words, and each name once", async () => {
  await using metrics = prometheusMetrics();
  const meter = meterOf(metrics);
  meter.createCounter("orders", { unit: "{order}", description: "Orders." }).add(1);
  meter.createCounter("sent", { unit: "By", description: "Sent bytes." }).add(2);
  meter.createCounter("waited_total", { unit: "s", description: "Waiting time." }).add(3);
  meter.createHistogram("wait", { unit: "s", description: "Waiting times." }).record(4);
  meter.createGauge("uptime_seconds", { unit: "s", description: "Time since the start." }).record(5);
  meter.createUpDownCounter("carts", { description: "Open carts." }).add(6, { name: 'a\\b"c\n' });
  meterOf(metrics, "other shop").createCounter("orders", { description: "Orders." }).add(7, { shop: "other" });
  const scrape = await scrapeOf(metrics);
  assertEquals([...scrape.types].sort(), [
    ["carts", "gauge"],
    ["orders_total", "counter"],
    ["sent_bytes_total", "counter"],
    ["uptime_seconds", "gauge"],
    ["wait_seconds", "histogram"],
    ["waited_seconds_total", "counter"],
  ]);
  assertEquals(scrape.text.match(/^# TYPE orders_total /gm)?.length, 1);
  assertEquals(scrape.value("orders_total"), 8);
  assertStringIncludes(scrape.text, String.raw`carts{name="a\\b\"c\n"} 6`);
  await checkWithPromtool(scrape);
});

Deno.test("prometheusMetrics() shares one collection among scrapes at the same time", async () => {
  await using metrics = prometheusMetrics();
  const gate = new Gate();
  let observed = 0;
  meterOf(metrics).createObservableGauge("stock", { description: "Stock." }).addCallback(async (result) => {
    observed++;
    await gate.opened;
    result.observe(observed);
  });
  const scrapes = [scrapeOf(metrics), scrapeOf(metrics), scrapeOf(metrics)];
  gate.open();
  for (const scrape of await Promise.all(scrapes)) assertEquals(scrape.value("stock"), 1);
  assertEquals((await scrapeOf(metrics)).value("stock"), 2);
});

Deno.test("prometheusMetrics() leaves out a gauge whose callback fails, and tells OpenTelemetry's log", async () => {
  using log = logged();
  await using metrics = prometheusMetrics();
  meterOf(metrics).createObservableGauge("broken", { description: "Broken." }).addCallback(() => {
    throw new Error("a callback that fails");
  });
  meterOf(metrics).createObservableGauge("stock", { description: "Stock." }).addCallback((it) => it.observe(1));
  const scrape = await scrapeOf(metrics);
  assertEquals([scrape.value("stock"), scrape.value("broken")], [1, undefined]);
  assertStringIncludes(String(log.errors[0]), "a callback that fails");
});
