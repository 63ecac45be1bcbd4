import { context } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "npm:@opentelemetry/context-async-hooks@^2";
import { BatchSpanProcessor, type SpanExporter, TracerProvider } from "npm:@opentelemetry/sdk-trace@^2";
import { instrument, type TelemetryOptions } from "@tidings/broker/telemetry";
import { prometheusMetrics } from "@tidings/broker/telemetry/prometheus";
import { LABELS } from "../../tests/redis/_bench.ts";
import { brokerSystem, type Open, openMemory, openRedis } from "./tidings.ts";
import type { System } from "./_system.ts";

/** Takes spans and forgets them. The code `0` is `ExportResultCode.SUCCESS`. */
const FORGETFUL: SpanExporter = {
  export: (_spans, onEnd) => onEnd({ code: 0 }),
  shutdown: () => Promise.resolve(),
};

/** Opens a broker that is instrumented until it is closed. */
function instrumented(open: Open, begin: () => { options: TelemetryOptions; end(): PromiseLike<void> }): Open {
  return async (place, events) => {
    const broker = await open(place, events);
    const { options, end } = begin();
    const telemetry = instrument(broker, options);
    const close = broker.close.bind(broker);
    broker.close = async () => {
      await close();
      telemetry[Symbol.dispose]();
      await end();
    };
    return broker;
  };
}

/** Without providers: `@opentelemetry/api` drops all signals. */
const nothing = () => ({ options: {}, end: () => Promise.resolve() });

/** Counters and histograms of OpenTelemetry's SDK, and no spans. */
function metrics() {
  const metrics = prometheusMetrics();
  return {
    options: { meterProvider: metrics.meterProvider, tracerProvider: false } as const,
    end: () => metrics[Symbol.asyncDispose](),
  };
}

/** All signals of OpenTelemetry's SDK. Spans are batched for an exporter, which forgets them. */
function all() {
  const metrics = prometheusMetrics();
  const tracerProvider = new TracerProvider({ spanProcessors: [new BatchSpanProcessor({ exporter: FORGETFUL })] });
  // Handlers run in the context of their span.
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  return {
    options: { meterProvider: metrics.meterProvider, tracerProvider },
    end: async () => {
      context.disable();
      await tracerProvider.shutdown();
      await metrics[Symbol.asyncDispose]();
    },
  };
}

/** Instrumented brokers, and the names of the plain brokers to compare with. */
export const telemetrySystems: readonly { readonly plain: string; readonly instrumented: readonly System[] }[] = [
  { label: LABELS["node-redis"], open: openRedis("node-redis") },
  { label: "in memory", open: openMemory },
].map(({ label, open }) => ({
  plain: `tidings, ${label}`,
  instrumented: [
    brokerSystem(`${label}, telemetry without an SDK`, instrumented(open, nothing)),
    brokerSystem(`${label}, telemetry: metrics`, instrumented(open, metrics)),
    brokerSystem(`${label}, telemetry: metrics and traces`, instrumented(open, all)),
  ],
}));
