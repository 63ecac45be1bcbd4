import { assert, assertEquals } from "@std/assert";
import type { OtlpReceiver, ReceivedSpan } from "./_otlp_receiver.ts";

/** Asserts what the two services of the OTLP tests send: one trace from the publisher to all that the handler does. */
export function assertOneTrace({ spans, metrics }: OtlpReceiver): void {
  const named = (name: string) => spans.filter((span) => span.name === name);
  const only = (name: string): ReceivedSpan => {
    assertEquals(named(name).length, 1, `${name} among ${spans.map(({ name }) => name).join(", ")}`);
    return named(name)[0]!;
  };
  const send = only("send Ended");
  const [failed, handled] = named("process Ended");
  assertEquals([send.service, failed?.service, handled?.service], ["publish", "handle", "handle"]);
  assertEquals([failed?.parentSpanId, handled?.parentSpanId], [send.spanId, send.spanId]);
  assertEquals(only("send Paid").parentSpanId, handled!.spanId);
  const fetched = named("GET");
  assertEquals(fetched.map(({ parentSpanId }) => parentSpanId), [handled!.spanId]);
  const traces = ["send Ended", "process Ended", "send Paid", "settle Ended"].flatMap(named).map((span) =>
    span.traceId
  );
  assertEquals(new Set(traces), new Set([send.traceId]));
  assertEquals([failed, handled].map((span) => span!.attributes["tidings.delivery.outcome"]), ["retry", "ack"]);
  for (const name of ["messaging.process.duration", "messaging.client.sent.messages", "tidings.events.handled"]) {
    assert(metrics.has(name), `${name} is among ${[...metrics].join(", ")}`);
  }
}
