/**
 * Traces, metrics and diagnostics of a broker, in OpenTelemetry's terms.
 *
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
 *
 * @module
 */
export {
  type HandleMessage,
  type LifecycleMessage,
  type OperateMessage,
  publishDiagnostics,
  type PublishMessage,
  type SettleMessage,
} from "./diagnostics.ts";
export { instrument, type MeterSource, type TelemetryOptions, type TracerSource } from "./telemetry.ts";
