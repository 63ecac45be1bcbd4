/**
 * Prints traces as trees. A real service sends them to a collector instead: run with `OTEL_DENO=true`, and nothing is
 * printed.
 *
 * @module
 */
import { context, trace } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "npm:@opentelemetry/context-async-hooks@^2";
import { type ReadableSpan, type SpanProcessor, TracerProvider } from "npm:@opentelemetry/sdk-trace@^2";
import { bold, dim, red, yellow } from "@std/fmt/colors";

// A trace is complete when nothing was added for so long, in milliseconds: payment retries after at most 2 s.
const QUIET = 3_000;
// A trace of the same kind is printed again after this time, in milliseconds.
const AGAIN_AFTER = 60_000;
// Traces that are kept until they are complete. The oldest are dropped first.
const MOST_KEPT = 500;

interface KeptTrace {
  readonly spans: ReadableSpan[];
  changedAt: number;
}

/** Prints the first trace of each kind, and later one of each kind in a minute. */
export class PrintedTraces implements SpanProcessor, Disposable {
  #traces = new Map<string, KeptTrace>();
  #printedAt = new Map<string, number>();
  #timer: ReturnType<typeof setInterval>;

  private constructor() {
    this.#timer = setInterval(() => this.#printComplete(), 500);
  }

  /** Begins; undefined if spans go elsewhere: with `OTEL_DENO=true`, Deno has registered its own exporter. */
  static begin(): PrintedTraces | undefined {
    const traces = new PrintedTraces();
    if (trace.setGlobalTracerProvider(new TracerProvider({ spanProcessors: [traces] }))) {
      // A span becomes the parent of others by the context, which has to survive `await`.
      context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
      return traces;
    }
    traces[Symbol.dispose]();
    return undefined;
  }

  onStart(): void {}

  onEnd(span: ReadableSpan): void {
    const { traceId } = span.spanContext();
    const kept = this.#traces.get(traceId) ?? { spans: [], changedAt: 0 };
    kept.spans.push(span);
    kept.changedAt = performance.now();
    this.#traces.set(traceId, kept);
    const [oldest] = this.#traces.keys();
    if (this.#traces.size > MOST_KEPT) this.#traces.delete(oldest!);
  }

  #printComplete(): void {
    const now = performance.now();
    for (const [traceId, { spans, changedAt }] of this.#traces) {
      if (now - changedAt < QUIET) continue;
      this.#traces.delete(traceId);
      const kind = kindOf(spans);
      if (kind === undefined || now - (this.#printedAt.get(kind) ?? -Infinity) < AGAIN_AFTER) continue;
      this.#printedAt.set(kind, now);
      console.log(`\n  ${bold(`A trace with ${kind}`)} ${dim(traceId)}`);
      for (const line of treeOf(spans)) console.log(line);
      console.log();
    }
  }

  async forceFlush(): Promise<void> {}

  async shutdown(): Promise<void> {}

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }
}

const OUTCOME = "tidings.delivery.outcome";

/** The most remarkable event of a trace; undefined for one that nobody has to see. */
function kindOf(spans: readonly ReadableSpan[]): string | undefined {
  const has = (outcome: string) => spans.some(({ attributes }) => attributes[OUTCOME] === outcome);
  if (has("dead")) return "a dead letter";
  if (has("retry")) return "a retry";
  return spans.some(({ name }) => name === "charge card") ? "a payment" : undefined;
}

/** The spans as lines, each below its parent. */
function* treeOf(spans: readonly ReadableSpan[]): Generator<string> {
  const ids = new Set(spans.map((span) => span.spanContext().spanId));
  const children = Map.groupBy(spans, ({ parentSpanContext }) => {
    return parentSpanContext !== undefined && ids.has(parentSpanContext.spanId) ? parentSpanContext.spanId : "root";
  });
  const begin = Math.min(...spans.map(startOf));
  function* branch(parent: string, indent: string): Generator<string> {
    for (const span of (children.get(parent) ?? []).sort((a, b) => startOf(a) - startOf(b))) {
      // One more line for each settlement would hide the rest.
      if (span.name.startsWith("settle ")) continue;
      yield* lines(span, indent, startOf(span) - begin);
      yield* branch(span.spanContext().spanId, `${indent}  `);
    }
  }
  yield dim(`    ${"".padEnd(46)}  begins     takes`);
  yield* branch("root", "");
}

function* lines({ name, attributes, events, duration }: ReadableSpan, indent: string, at: number): Generator<string> {
  const group = attributes["messaging.consumer.group.name"];
  const label = `${indent}${name}${group === undefined ? "" : ` by ${group}`}`;
  const [attempt, outcome] = [attributes["tidings.delivery.attempt"], attributes[OUTCOME]];
  const note = outcome === "dead" ? red("dead") : outcome === "retry" ? yellow("retry") : "";
  yield `    ${label.padEnd(46)}${ms(at)}${ms(millis(duration))}  ${
    attempt === 1 || attempt === undefined ? "" : `#${attempt} `
  }${note}`.trimEnd();
  const message = events.find(({ name }) => name === "exception")?.attributes?.["exception.message"];
  if (message !== undefined && attempt !== undefined) yield dim(`    ${indent}  ${message}`.slice(0, 80));
}

const millis = ([seconds, nanos]: readonly [number, number]): number => seconds * 1_000 + nanos / 1e6;
const startOf = ({ startTime }: ReadableSpan): number => millis(startTime);
const ms = (time: number): string => `${time.toFixed(time < 100 ? 1 : 0)} ms`.padStart(10);
