import type { AttemptEnd, BrokerObserver, Delivery, EventBroker, Operation, SettlingBatch } from "../broker/mod.ts";
import type { DomainEvent, EventClass } from "../events/mod.ts";
import { checkBroker } from "./_options.ts";

/** The parts of `node:diagnostics_channel` that are used here. */
interface Channel {
  readonly hasSubscribers: boolean;
  publish(message: unknown): void;
  runStores<R>(message: object, fn: () => R): R;
}
interface TracingChannel {
  readonly start: Channel;
  readonly asyncEnd: Channel;
  readonly error: Channel;
}
interface DiagnosticsChannel {
  channel(name: string): Channel;
  tracingChannel(name: string): TracingChannel;
}

// By getBuiltinModule, so that nothing is imported where there is no such module, as in a browser.
const diagnostics = (globalThis as {
  process?: { getBuiltinModule?(name: string): DiagnosticsChannel | undefined };
}).process?.getBuiltinModule?.("node:diagnostics_channel");

/** What the channels of `tidings.publish` carry. */
export interface PublishMessage {
  /** The published events. */
  readonly events: readonly DomainEvent[];
  /** Why the call failed; set at the end. */
  error?: unknown;
}

/** What the channels of `tidings.handle` carry. */
export interface HandleMessage {
  /** The delivery that is handled. */
  readonly delivery: Delivery;
  /** Whether a handler is called with it, alone or in a batch, or `consume()` yields it. */
  readonly kind: "handler" | "pulled" | "batch";
  /** How the attempt ended; set at the end. */
  outcome?: AttemptEnd["outcome"];
  /** The error of a failed attempt; set at the end. */
  error?: unknown;
}

/** What the channels of `tidings.settle` carry. */
export interface SettleMessage extends SettlingBatch {
  /** The positions of deliveries that had been lost before; set at the end. */
  refused?: readonly Delivery["position"][];
  /** Why the round trip failed; set at the end. */
  error?: unknown;
}

/** What the channels of `tidings.operate` carry. */
export interface OperateMessage extends Operation {
  /** How many events or dead letters it concerned; set at the end, where the store tells. */
  count?: number | undefined;
  /** Why the operation failed; set at the end. */
  error?: unknown;
}

/** What the channel `tidings.lifecycle` carries. */
export interface LifecycleMessage {
  /** The lifecycle event, such as a `RetryEvent`. */
  readonly event: Event;
  /** The group of the subscription; undefined when the event is the broker's own. */
  readonly group: string | undefined;
}

/**
 * Publishes what a broker does to channels of `node:diagnostics_channel`: those of `tidings.publish`, `tidings.handle`,
 * `tidings.settle` and `tidings.operate` are tracing channels, with `start`, `asyncEnd` and, before it after a failure,
 * `error`; all three get the same message object. `tidings.lifecycle` is a plain channel. A handler runs inside
 * `start.runStores`, so that stores bound to `tracing:tidings.handle:start` are set in it. A channel without subscribers
 * costs a check. Where the runtime has no such module, nothing is published.
 *
 * Messages carry events with their details, sensitive fields included: a subscriber must take care what it writes down.
 * As on every channel, an error that a subscriber throws is an uncaught exception, and does not disturb the broker.
 *
 * @see {@link https://nodejs.org/api/diagnostics_channel.html}
 * @returns Dispose it to end the publishing.
 * @throws {TypeError} If `broker` is no broker.
 *
 * @example Log failed attempts
 * ```ts
 * import { subscribe, unsubscribe } from "node:diagnostics_channel";
 * import { defineEvent, InMemoryBroker } from "@tidings/broker";
 * import { type HandleMessage, publishDiagnostics } from "@tidings/broker/telemetry";
 * import { assertEquals } from "@std/assert";
 *
 * class Greeted extends defineEvent("Greeted")<{ name: string }> {}
 *
 * const failures: string[] = [];
 * const log = (message: unknown) => {
 *   const { delivery, error } = message as HandleMessage;
 *   failures.push(`${delivery.event.type}, attempt ${delivery.attempt}: ${error}`);
 * };
 * subscribe("tracing:tidings.handle:error", log);
 *
 * await using broker = new InMemoryBroker({ events: [Greeted] });
 * using _diagnostics = publishDiagnostics(broker);
 * await broker.subscribe(Greeted, () => {
 *   throw new Error("not now");
 * }, { group: "greeters", retry: { maxAttempts: 1 } });
 * await broker.publish(new Greeted({ name: "Ada" }));
 * await broker.idle();
 * assertEquals(failures, ["Greeted, attempt 1: Error: not now"]);
 * unsubscribe("tracing:tidings.handle:error", log);
 * ```
 */
export function publishDiagnostics<C extends EventClass>(broker: EventBroker<C>): Disposable {
  checkBroker("publish the diagnostics of", broker);
  return diagnostics === undefined ? { [Symbol.dispose]() {} } : broker.observe(observerOf(diagnostics));
}

function observerOf(diagnostics: DiagnosticsChannel): BrokerObserver {
  const [publish, handle, settle, operate] = ["publish", "handle", "settle", "operate"].map((name) =>
    diagnostics.tracingChannel(`tidings.${name}`)
  ) as [TracingChannel, TracingChannel, TracingChannel, TracingChannel];
  const lifecycle = diagnostics.channel("tidings.lifecycle");
  return {
    publishing(events) {
      const message: PublishMessage = { events };
      return begin(publish, message, ({ error }) => ({ error }));
    },
    handling(delivery, kind) {
      if (!isHeard(handle)) return undefined;
      const message: HandleMessage = { delivery, kind };
      if (kind !== "handler") handle.start.publish(message);
      return {
        run: (handler) => handle.start.runStores(message, handler),
        ended({ outcome, error }) {
          message.outcome = outcome;
          end(handle, message, outcome === "retry" || outcome === "dead" ? { error } : {});
        },
      };
    },
    settling(batch) {
      const message: SettleMessage = { ...batch };
      return begin(settle, message, ({ refused, error }) => {
        message.refused = refused;
        return { error };
      });
    },
    operating(operation) {
      const message: OperateMessage = { ...operation };
      return begin(operate, message, ({ count, error }) => {
        message.count = count;
        return { error };
      });
    },
    lifecycle(event, { group }) {
      const message: LifecycleMessage = { event, group };
      if (lifecycle.hasSubscribers) lifecycle.publish(message);
    },
  };
}

function isHeard({ start, asyncEnd, error }: TracingChannel): boolean {
  return start.hasSubscribers || asyncEnd.hasSubscribers || error.hasSubscribers;
}

function begin<E>(
  channel: TracingChannel,
  message: { error?: unknown },
  failureOf: (end: E) => { error?: unknown },
): { ended(end: E): void } | undefined {
  if (!isHeard(channel)) return undefined;
  channel.start.publish(message);
  return {
    ended(ending) {
      const { error } = failureOf(ending);
      end(channel, message, error === undefined ? {} : { error });
    },
  };
}

/** @param failure Has `error` when the work failed, with whatever was thrown. */
function end(channel: TracingChannel, message: { error?: unknown }, failure: { error?: unknown }): void {
  if ("error" in failure) {
    message.error = failure.error;
    channel.error.publish(message);
  }
  channel.asyncEnd.publish(message);
}
