/**
 * Metrics as text for Prometheus, from a fetch handler.
 *
 * They are the instruments of `instrument()` of `@tidings/broker/telemetry`, collected by
 * OpenTelemetry's SDK and written by its serializer. So everything is counted once, and metrics have the same names here
 * and in a backend that gets them by OTLP. `prom-client` would need counters of its own beside them.
 *
 * @module
 */
import { diag } from "@opentelemetry/api";
import { PrometheusSerializer } from "@opentelemetry/exporter-prometheus";
import {
  AggregationTemporality,
  InstrumentType,
  MeterProvider,
  type MetricData,
  MetricReader,
} from "@opentelemetry/sdk-metrics";
import { reasonOf } from "../events/_check.ts";
import type { MeterSource } from "./telemetry.ts";

export type { MeterSource };

/** Metrics that Prometheus can scrape. */
export interface PrometheusMetrics extends AsyncDisposable {
  /**
   * For `instrument()`. It is a `MeterProvider` of `@opentelemetry/sdk-metrics`, so that instruments of your own can be made
   * by it too: `metrics.setGlobalMeterProvider(meterProvider as MeterProvider)`.
   */
  readonly meterProvider: MeterSource;
  /**
   * Answers a scrape, whatever the path: GET and HEAD with status 200, other methods with 405, and all with 503 once it is
   * disposed. It never rejects. Scrapes at the same time share one collection.
   */
  readonly handler: (request: Request) => Promise<Response>;
}

// How long a callback of an observable instrument may take, in milliseconds: Prometheus waits 10 s for the whole answer.
const CALLBACK_TIMEOUT = 5_000;
// Series that each metric may have. The SDK's own limit of 2,000 is too low for many types and groups.
const MAX_SERIES = 50_000;
// The format that every version of Prometheus reads. Prometheus 3 refuses a content type without a version.
const CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8";

/**
 * Makes a provider of meters and a fetch handler that answers with their metrics. Names follow OpenTelemetry's rules for
 * Prometheus: `_` instead of dots, units in words, `_total` after counters. `messaging.process.duration` becomes the
 * histogram `messaging_process_duration_seconds`, `tidings.events.published` becomes `tidings_events_published_total`.
 *
 * It reads no environment variable, needs no permission and starts no server. A metric has at most 50,000 series: those
 * that come later are added up in one with the label `otel_metric_overflow`.
 *
 * @returns Dispose it when the server no longer answers. Disposing neither ends `instrument()` nor closes a broker.
 *
 * @example Serve /metrics
 * ```ts
 * import { defineEvent, InMemoryBroker } from "@tidings/broker";
 * import { instrument } from "@tidings/broker/telemetry";
 * import { prometheusMetrics } from "@tidings/broker/telemetry/prometheus";
 * import { assertStringIncludes } from "@std/assert";
 *
 * class Greeted extends defineEvent("Greeted")<{ name: string }> {}
 *
 * await using broker = new InMemoryBroker({ events: [Greeted] });
 * await using metrics = prometheusMetrics();
 * using _telemetry = instrument(broker, { meterProvider: metrics.meterProvider });
 *
 * const serve = async (request: Request): Promise<Response> =>
 *   new URL(request.url).pathname === "/metrics" ? await metrics.handler(request) : new Response("hello");
 *
 * await broker.publish(new Greeted({ name: "Ada" }));
 * const response = await serve(new Request("http://127.0.0.1/metrics"));
 * assertStringIncludes(
 *   await response.text(),
 *   'tidings_events_published_total{messaging_destination_name="Greeted"} 1',
 * );
 * ```
 */
export function prometheusMetrics(): PrometheusMetrics {
  const reader = new ScrapeReader();
  const meterProvider = new MeterProvider({ readers: [reader] });
  let scrape: Promise<string> | undefined;
  let closed: Promise<void> | undefined;
  const handler = async ({ method }: Request): Promise<Response> => {
    if (method !== "GET" && method !== "HEAD") {
      return answer(405, `Cannot answer ${method}: metrics are read by GET or HEAD`, { allow: "GET, HEAD" });
    }
    if (closed !== undefined) return answer(503, "Cannot collect metrics: they are disposed");
    if (method === "HEAD") return new Response(null, { headers: { "content-type": CONTENT_TYPE } });
    try {
      // Concurrent collections would take observations from each other.
      scrape ??= reader.scrape().finally(() => scrape = undefined);
      return new Response(await scrape, { headers: { "content-type": CONTENT_TYPE } });
    } catch (error) {
      diag.error("Cannot collect metrics", error);
      return answer(500, `Cannot collect metrics: ${reasonOf(error)}`);
    }
  };
  const close = async () => {
    await scrape?.catch(() => {});
    await meterProvider.shutdown();
  };
  return { meterProvider, handler, [Symbol.asyncDispose]: () => closed ??= close() };
}

function answer(status: number, reason: string, headers: Record<string, string> = {}): Response {
  return new Response(`${reason}\n`, { status, headers: { "content-type": "text/plain; charset=utf-8", ...headers } });
}

/** Collects metrics for a scrape. The exporter of OpenTelemetry would read environment variables and start a server. */
class ScrapeReader extends MetricReader {
  #serializer = new PrometheusSerializer(undefined, false, undefined, true, true);

  constructor() {
    super({
      // The SDK repeats the last value of a cumulative gauge for ever, also that of a group that was deleted.
      aggregationTemporalitySelector: (type) =>
        type === InstrumentType.OBSERVABLE_GAUGE ? AggregationTemporality.DELTA : AggregationTemporality.CUMULATIVE,
      cardinalitySelector: () => MAX_SERIES,
    });
  }

  async scrape(): Promise<string> {
    const { resourceMetrics: { resource, scopeMetrics }, errors } = await this.collect({
      timeoutMillis: CALLBACK_TIMEOUT,
    });
    for (const error of errors) diag.error("Cannot observe a metric", error);
    // A name may occur only once, because Prometheus has no scopes.
    const metrics = new Map<string, MetricData>();
    for (const metric of scopeMetrics.flatMap(({ metrics }) => metrics)) {
      if (metric.dataPoints.length === 0) continue;
      const descriptor = { ...metric.descriptor, name: nameOf(metric), unit: "" };
      const same = metrics.get(descriptor.name);
      // Metrics of one name and different types cannot be told apart: the first one stays.
      if (same === undefined) metrics.set(descriptor.name, { ...metric, descriptor });
      else if (same.dataPointType === metric.dataPointType) {
        metrics.set(descriptor.name, { ...same, dataPoints: [...same.dataPoints, ...metric.dataPoints] } as MetricData);
      }
    }
    const [first] = scopeMetrics;
    if (first === undefined || metrics.size === 0) return "";
    const all = { scope: first.scope, metrics: [...metrics.values()] };
    return this.#serializer.serialize({ resource, scopeMetrics: [all] });
  }

  protected override async onForceFlush(): Promise<void> {}

  protected override async onShutdown(): Promise<void> {}
}

/** Words for units. Names in Prometheus leave out units in braces, such as `{event}`. */
const UNITS: Readonly<Record<string, string>> = {
  d: "days",
  h: "hours",
  min: "minutes",
  s: "seconds",
  ms: "milliseconds",
  us: "microseconds",
  ns: "nanoseconds",
  By: "bytes",
  KiBy: "kibibytes",
  MiBy: "mebibytes",
  GiBy: "gibibytes",
  "%": "percent",
};

/** The name with its unit; the serializer does the rest. */
function nameOf({ descriptor: { name, unit } }: MetricData): string {
  const word = UNITS[unit];
  const base = name.replace(/[._]total$/, "");
  return word === undefined || base.endsWith(word) ? name : `${base}.${word}`;
}
