/** A span as it comes over OTLP, with the service that sent it. */
export interface ReceivedSpan {
  readonly service: string;
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string;
  readonly name: string;
  readonly attributes: Readonly<Record<string, unknown>>;
}

interface KeyValue {
  readonly key: string;
  readonly value: Readonly<Record<string, unknown>>;
}

interface TracesRequest {
  readonly resourceSpans: readonly {
    readonly resource?: { readonly attributes?: readonly KeyValue[] };
    readonly scopeSpans: readonly {
      readonly spans: readonly (Omit<ReceivedSpan, "service" | "attributes"> & { attributes?: readonly KeyValue[] })[];
    }[];
  }[];
}

interface MetricsRequest {
  readonly resourceMetrics: readonly {
    readonly scopeMetrics: readonly { readonly metrics: readonly { readonly name: string }[] }[];
  }[];
}

/** Receives traces and metrics by OTLP over HTTP, as JSON; any other request is answered with "hello". */
export class OtlpReceiver implements AsyncDisposable {
  readonly spans: ReceivedSpan[] = [];
  readonly metrics = new Set<string>();
  #server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, (request) => this.#receive(request));

  get url(): string {
    return `http://127.0.0.1:${this.#server.addr.port}`;
  }

  async #receive(request: Request): Promise<Response> {
    const { pathname } = new URL(request.url);
    if (pathname === "/v1/traces") this.#addSpans(await request.json());
    else if (pathname === "/v1/metrics") this.#addMetrics(await request.json());
    else return new Response("hello");
    return Response.json({});
  }

  #addSpans({ resourceSpans }: TracesRequest): void {
    for (const { resource, scopeSpans } of resourceSpans) {
      const service = String(asRecord(resource?.attributes)["service.name"]);
      for (const { spans } of scopeSpans) {
        for (const span of spans) this.spans.push({ ...span, service, attributes: asRecord(span.attributes) });
      }
    }
  }

  #addMetrics({ resourceMetrics }: MetricsRequest): void {
    for (const { scopeMetrics } of resourceMetrics) {
      for (const { metrics } of scopeMetrics) for (const { name } of metrics) this.metrics.add(name);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.shutdown();
  }
}

function asRecord(attributes: readonly KeyValue[] = []): Record<string, unknown> {
  return Object.fromEntries(attributes.map(({ key, value }) => [key, Object.values(value)[0]]));
}
