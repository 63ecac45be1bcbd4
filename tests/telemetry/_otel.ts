import { context, SpanKind } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "npm:@opentelemetry/context-async-hooks@^2";
import { BasicTracerProvider, type ReadableSpan } from "npm:@opentelemetry/sdk-trace-base@^2";

/** OpenTelemetry's own SDK, which keeps finished spans in memory. Its context manager is the process's until disposed. */
export class Spans implements Disposable {
  /** Finished spans, in the order of their ends. */
  readonly all: ReadableSpan[] = [];
  readonly provider = new BasicTracerProvider({
    spanProcessors: [{
      onStart: () => {},
      onEnd: (span) => void this.all.push(span),
      forceFlush: () => Promise.resolve(),
      shutdown: () => Promise.resolve(),
    }],
  });

  constructor() {
    context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  }

  /** Those of this name. */
  named(name: string): ReadableSpan[] {
    return this.all.filter((span) => span.name === name);
  }

  [Symbol.dispose](): void {
    context.disable();
  }
}

export const idOf = (span: ReadableSpan): string => span.spanContext().spanId;
export const traceOf = (span: ReadableSpan): string => span.spanContext().traceId;
export const kindOf = (span: ReadableSpan): string => SpanKind[span.kind];
export const linksOf = (span: ReadableSpan): string[] => span.links.map(({ context }) => context.spanId);
