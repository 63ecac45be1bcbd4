import {
  type Attributes,
  type Context,
  context,
  INVALID_SPANID,
  INVALID_TRACEID,
  type Link,
  ROOT_CONTEXT,
  type Span,
  type SpanContext,
  SpanKind,
  SpanStatusCode,
  trace,
  type Tracer,
} from "@opentelemetry/api";
import type { AttemptEnd, BrokerObserver, Delivery, HandlerObservation, Operation } from "../broker/mod.ts";
import type { OperationObservation, PublishObservation, SettlingBatch, SettlingObservation } from "../broker/mod.ts";
import type { DomainEvent } from "../events/mod.ts";
import { isInstance, readText } from "../events/_foreign.ts";
import { DESTINATION, type ErrorTypes, GROUP, operation, type OperationType, SPAN_SYSTEM } from "./_attributes.ts";

/** How to trace. */
export interface TracingOptions {
  /** Whether each event of a published array gets a `create` span of its own. */
  readonly createSpans: boolean;
  /** Attributes of every span. */
  readonly attributes: Attributes;
  /** Whether no SDK takes spans now: then none is made. */
  readonly silent: () => boolean;
}

/** Makes a span for each publish, each attempt to handle, each settlement and each operation. */
export class Tracing implements BrokerObserver {
  #tracer: Tracer;
  #errorTypes: ErrorTypes;
  #options: TracingOptions;
  /** The spans of attempts, until their outcomes are settled. */
  #attempts = new WeakMap<Delivery, SpanContext>();
  /** By operation, type and group. */
  #shared = new Map<string, Attributes>();

  constructor(tracer: Tracer, errorTypes: ErrorTypes, options: TracingOptions) {
    this.#tracer = tracer;
    this.#errorTypes = errorTypes;
    this.#options = options;
  }

  active(): boolean {
    return !this.#options.silent();
  }

  publishing(events: readonly DomainEvent[]): PublishObservation | undefined {
    if (this.#options.silent()) return undefined;
    const [only] = events;
    if (only !== undefined && events.length === 1) return this.#publishingOne(only);
    const created = events.map((event) =>
      contextOf(event) ?? (this.#options.createSpans ? this.#create(event) : undefined)
    );
    const types = new Set(events.map(({ type }) => type));
    const type = types.size === 1 ? only!.type : undefined;
    const span = this.#start(type === undefined ? "send" : `send ${type}`, {
      // The kinds tell whether events continue the trace at this span.
      kind: this.#options.createSpans ? SpanKind.CLIENT : SpanKind.PRODUCER,
      attributes: { ...this.#of("send", type), "messaging.batch.message_count": events.length },
      links: created.flatMap(linksTo),
    });
    const traceparents = created.map((context) => traceparentOf(context ?? span.spanContext()));
    return { traceparents, ended: ({ error }) => this.#end(span, error) };
  }

  /** A span for one event of an array, so that its trace goes on apart from those of the other events. */
  #create(event: DomainEvent): SpanContext {
    const span = this.#start(`create ${event.type}`, {
      kind: SpanKind.PRODUCER,
      attributes: { ...this.#of("create", event.type), ...messageOf(event) },
    });
    span.end();
    return span.spanContext();
  }

  #publishingOne(event: DomainEvent): PublishObservation {
    const span = this.#start(`send ${event.type}`, {
      kind: SpanKind.PRODUCER,
      attributes: { ...this.#of("send", event.type), ...messageOf(event) },
      links: linksTo(contextOf(event)),
    });
    return { traceparents: [traceparentOf(span.spanContext())], ended: ({ error }) => this.#end(span, error) };
  }

  handling(delivery: Delivery, kind: "handler" | "pulled" | "batch"): HandlerObservation | undefined {
    if (this.#options.silent()) return undefined;
    const { event, group, consumer, attempt, recovered } = delivery;
    const created = contextOf(event);
    const name = kind === "pulled" ? "receive" : "process";
    const span = this.#start(`${name} ${event.type}`, {
      kind: kind === "pulled" ? SpanKind.CLIENT : SpanKind.CONSUMER,
      attributes: {
        ...this.#of(name, event.type, group),
        ...messageOf(event),
        "messaging.client.id": consumer,
        "tidings.delivery.attempt": attempt,
        "tidings.delivery.recovered": recovered,
      },
      links: linksTo(created),
    }, created === undefined ? ROOT_CONTEXT : trace.setSpanContext(ROOT_CONTEXT, created));
    this.#attempts.set(delivery, span.spanContext());
    return {
      run: (handler) => context.with(trace.setSpan(context.active(), span), handler),
      ended: ({ outcome, error, delay }) => {
        span.setAttributes(outcomeOf(outcome, delay));
        if (outcome === "retry" || outcome === "dead") this.#fail(span, error);
        span.end();
      },
    };
  }

  settling({ eventType, group, consumer, outcomes }: SettlingBatch): SettlingObservation | undefined {
    if (this.#options.silent()) return undefined;
    // A delivery that no handler was called with, such as a dead letter that cannot be decoded, belongs to its event.
    const attempts = outcomes.flatMap(({ delivery, traceparent }) =>
      (delivery && this.#attempts.get(delivery)) ?? contextOf({ traceparent }) ?? []
    );
    const [only] = attempts;
    const parent = only !== undefined && outcomes.length === 1
      ? trace.setSpanContext(ROOT_CONTEXT, only)
      : ROOT_CONTEXT;
    const kinds = new Set(outcomes.map(({ outcome }) => outcome));
    const span = this.#start(`settle ${eventType}`, {
      kind: SpanKind.CLIENT,
      attributes: {
        ...this.#of("settle", eventType, group),
        "messaging.client.id": consumer,
        ...(outcomes.length > 1 && { "messaging.batch.message_count": outcomes.length }),
        ...(kinds.size === 1 && { [OUTCOME]: [...kinds][0]! }),
      },
      links: attempts.flatMap(linksTo),
    }, parent);
    return {
      ended: ({ error, refused }) => {
        if (refused.length > 0) span.setAttribute("tidings.settle.refused", refused.length);
        this.#end(span, error);
      },
    };
  }

  operating({ name, eventType, group }: Operation): OperationObservation | undefined {
    if (this.#options.silent()) return undefined;
    const span = this.#start(`${name} ${eventType}`, {
      kind: SpanKind.CLIENT,
      attributes: this.#of(name, eventType, group),
    });
    return {
      ended: ({ error, count }) => {
        if (count !== undefined) span.setAttribute("messaging.batch.message_count", count);
        this.#end(span, error);
      },
    };
  }

  #start(
    name: string,
    { kind, attributes, links = [] }: { kind: SpanKind; attributes: Attributes; links?: Link[] },
    parent: Context = context.active(),
  ): Span {
    return this.#tracer.startSpan(name, { kind, attributes, links }, parent);
  }

  /** The attributes that all spans of an operation have for a type and a group: made once. */
  #of(name: OperationType | Operation["name"], eventType: string | undefined, group?: string): Attributes {
    const key = `${name} ${eventType ?? ""} ${group ?? ""}`;
    let attributes = this.#shared.get(key);
    if (attributes === undefined) {
      attributes = {
        ...this.#options.attributes,
        ...SPAN_SYSTEM,
        ...(eventType !== undefined && { [DESTINATION]: eventType }),
        ...operation(name, isType(name) ? name : undefined),
        ...(group !== undefined && { [GROUP]: group }),
      };
      this.#shared.set(key, attributes);
    }
    return attributes;
  }

  #end(span: Span, error: unknown): void {
    if (error !== undefined) this.#fail(span, error);
    span.end();
  }

  #fail(span: Span, error: unknown): void {
    const type = this.#errorTypes.of(error);
    const message = isInstance(error, Error) ? readText(error, "message") ?? "" : "";
    const stack = isInstance(error, Error) ? readText(error, "stack") : undefined;
    span.setAttribute("error.type", type);
    span.setStatus({ code: SpanStatusCode.ERROR, message });
    span.addEvent("exception", {
      "exception.type": type,
      "exception.message": message,
      ...(stack !== undefined && { "exception.stacktrace": stack }),
    });
  }
}

const TYPES: readonly string[] = ["create", "send", "receive", "process", "settle"] satisfies OperationType[];

function isType(name: string): name is OperationType {
  return TYPES.includes(name);
}

/** Attributes of one event. None of its detail, which may be sensitive. */
function messageOf({ id, correlationId }: DomainEvent): Attributes {
  return {
    "messaging.message.id": id,
    ...(correlationId !== undefined && { "messaging.message.conversation_id": correlationId }),
  };
}

const OUTCOME = "tidings.delivery.outcome";

function outcomeOf(outcome: AttemptEnd["outcome"], delay: number | undefined): Attributes {
  return { [OUTCOME]: outcome, ...(delay !== undefined && { "tidings.retry.delay_ms": delay }) };
}

const TRACEPARENT = /^[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/;

/** Whether a tracer made the context, or it came with an event, rather than there being none. */
function isReal({ traceId, spanId }: SpanContext): boolean {
  return traceId !== INVALID_TRACEID && spanId !== INVALID_SPANID;
}

/** The span context in an event's `traceparent`; undefined when there is none, or it is invalid. */
function contextOf({ traceparent }: Pick<DomainEvent, "traceparent">): SpanContext | undefined {
  const [, traceId, spanId, flags] = TRACEPARENT.exec(traceparent ?? "") ?? [];
  if (traceId === undefined) return undefined;
  const found: SpanContext = { traceId, spanId: spanId!, traceFlags: Number.parseInt(flags!, 16) & 1, isRemote: true };
  return isReal(found) ? found : undefined;
}

/** A span context as a W3C `traceparent`; undefined when nothing traces. */
function traceparentOf(span: SpanContext): string | undefined {
  if (!isReal(span)) return undefined;
  return `00-${span.traceId}-${span.spanId}-${(span.traceFlags & 1).toString(16).padStart(2, "0")}`;
}

function linksTo(span: SpanContext | undefined): Link[] {
  return span === undefined || !isReal(span) ? [] : [{ context: span }];
}
