import { createNoopMeter, type Meter, metrics, ProxyTracerProvider, trace, type Tracer } from "@opentelemetry/api";
import type { BrokerObserver, EventBroker } from "../broker/mod.ts";
import type { EventClass } from "../events/mod.ts";
import { ErrorTypes, SCHEMA_URL, SCOPE } from "./_attributes.ts";
import { observeState } from "./_gauges.ts";
import { Counting } from "./_metrics.ts";
import { checkBroker, checkOptions, claim, MEASURED, TRACED } from "./_options.ts";
import { Tracing } from "./_traces.ts";

// Not the interface of `@opentelemetry/api`: the types of two versions may not fit each other, although their objects do.
/** A `TracerProvider` of `@opentelemetry/api`, of any version 1. */
export interface TracerSource {
  /** Returns a tracer. */
  getTracer(name: string, version?: string, options?: { schemaUrl?: string }): object;
}

/** A `MeterProvider` of `@opentelemetry/api`, of any version 1. */
export interface MeterSource {
  /** Returns a meter. */
  getMeter(name: string, version?: string, options?: { schemaUrl?: string }): object;
}

/** What to measure, and where the signals go. */
export interface TelemetryOptions {
  /** Where spans go; `false` makes none. @default {the global provider of `@opentelemetry/api`} */
  tracerProvider?: TracerSource | false;
  /** Where metrics go; `false` makes none. @default {the global provider of `@opentelemetry/api`} */
  meterProvider?: MeterSource | false;
  /**
   * Whether each event of a published array gets a `create` span of its own. Without, all of them continue the trace at
   * the `send` span. @default {true}
   */
  createSpans?: boolean;
  /** Attributes that every span and measurement carries, for example to tell two brokers of one process apart. */
  attributes?: Readonly<Record<string, string | number | boolean>>;
  /**
   * For the metric `tidings.broker.ready`: a subscription that holds deliveries has to settle one within this time, in
   * milliseconds, as in {@linkcode HealthOptions}. Give more than the slowest handler takes. @default {60_000}
   */
  stalledAfter?: number;
}

/**
 * Makes traces and metrics of all that a broker does, by OpenTelemetry's semantic conventions for messaging. Register the
 * providers of an SDK first, or give them here; without an SDK nothing is made.
 *
 * No signal carries anything of an event's detail. Spans carry ids of events; metrics carry types, groups, outcomes and
 * names of error classes only. A failed span has the error's message and stack: do not put secrets into error messages.
 *
 * @returns Dispose it to end the observing; closing the broker does not.
 * @throws {TypeError} If an option is unknown or malformed, or if the broker is instrumented with the same provider
 * already: its signals would be doubled.
 * @throws {RangeError} If `stalledAfter` is no number of at least 0.
 *
 * @example Trace and measure a broker
 * ```ts
 * import { defineEvent, InMemoryBroker } from "@tidings/broker";
 * import { instrument } from "@tidings/broker/telemetry";
 *
 * class Greeted extends defineEvent("Greeted")<{ name: string }> {}
 *
 * await using broker = new InMemoryBroker({ events: [Greeted] });
 * using _telemetry = instrument(broker);
 * await broker.publish(new Greeted({ name: "Ada" }));
 * ```
 */
export function instrument<C extends EventClass>(broker: EventBroker<C>, options: TelemetryOptions = {}): Disposable {
  checkBroker("instrument", broker);
  checkOptions(options);
  const { tracerProvider = trace.getTracerProvider(), meterProvider = metrics, createSpans = true } = options;
  const { attributes = {}, stalledAfter } = options;
  const errorTypes = new ErrorTypes();
  const ends: (() => void)[] = [];
  const observe = (observer: BrokerObserver) => {
    const observing = broker.observe(observer);
    ends.push(() => observing[Symbol.dispose]());
  };
  const end = () => {
    for (const end of ends.splice(0)) end();
  };
  try {
    if (tracerProvider !== false) {
      ends.push(claim(broker, tracerProvider, TRACED));
      const tracer = tracerProvider.getTracer(SCOPE, undefined, { schemaUrl: SCHEMA_URL }) as Tracer;
      observe(new Tracing(tracer, errorTypes, { createSpans, attributes, silent: () => isSilent(tracerProvider) }));
    }
    if (meterProvider !== false) {
      ends.push(claim(broker, meterProvider, MEASURED));
      const meter = meterProvider.getMeter(SCOPE, undefined, { schemaUrl: SCHEMA_URL }) as Meter;
      // Without an SDK there is nothing to measure for, and a meter never gets one later.
      if (meter !== createNoopMeter()) {
        const counting = new Counting(meter, errorTypes, attributes);
        observe(counting);
        counting.begins(broker.events.map(({ type }) => type));
        const health = stalledAfter === undefined ? {} : { stalledAfter };
        const consumes = (type: string, group: string) => counting.consumes(type, group);
        ends.push(observeState(meter, broker, { attributes, health, consumes }));
      }
    }
  } catch (error) {
    end();
    throw error;
  }
  return { [Symbol.dispose]: end };
}

const NO_SDK = new ProxyTracerProvider().getDelegate();

/** Whether it is the global provider, and no SDK has been registered yet. */
function isSilent(provider: TracerSource): boolean {
  return provider instanceof ProxyTracerProvider && provider.getDelegate() === NO_SDK;
}
