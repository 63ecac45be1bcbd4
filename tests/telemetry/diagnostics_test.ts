import { assertEquals } from "@std/assert";
import { AsyncLocalStorage } from "node:async_hooks";
import { channel, subscribe, unsubscribe } from "node:diagnostics_channel";
import process from "node:process";
import { type BrokerObserver, defineEvent, type Delivery, InMemoryBroker, RetryEvent } from "@tidings/broker";
import { type HandleMessage, type LifecycleMessage, publishDiagnostics } from "@tidings/broker/telemetry";
import type { OperateMessage, PublishMessage, SettleMessage } from "@tidings/broker/telemetry";
import { until } from "../../src/testing/_broker_bench.ts";

class Paid extends defineEvent("Paid")<{ amount: number }> {}

/** Subscribes to channels, and writes down what they publish, until disposed. */
function listen(...names: string[]): Disposable & { heard: string[] } {
  const heard: string[] = [];
  const listeners = names.map((name) => {
    const listener = (message: unknown) => void heard.push(`${name} ${describe(message)}`);
    subscribe(name, listener);
    return { name, listener };
  });
  return {
    heard,
    [Symbol.dispose]() {
      for (const { name, listener } of listeners) unsubscribe(name, listener);
    },
  };
}

function describe(message: unknown): string {
  const told = message as Partial<PublishMessage & HandleMessage & SettleMessage & OperateMessage & LifecycleMessage>;
  if (told.events) return `${told.events.length} ${told.error ?? "ok"}`;
  if (told.delivery) return `${told.delivery.attempt} ${told.outcome ?? "starts"} ${told.error ?? "ok"}`;
  if (told.outcomes) return `${told.outcomes.map(({ outcome }) => outcome)} ${told.refused?.length ?? "starts"}`;
  if (told.event) return `${told.event.type} ${told.group} ${told.event instanceof RetryEvent}`;
  return `${told.name} ${told.count ?? "starts"}`;
}

Deno.test("publishDiagnostics() publishes each step to its channels", async () => {
  const phases = ["start", "error", "asyncEnd"];
  const names = ["publish", "handle", "settle", "operate"].flatMap((name) =>
    phases.map((phase) => `tracing:tidings.${name}:${phase}`)
  );
  using channels = listen(...names, "tidings.lifecycle");
  await using broker = new InMemoryBroker({ events: [Paid] });
  using _diagnostics = publishDiagnostics(broker);
  await broker.subscribe(Paid, (_, { attempt }) => {
    if (attempt === 1) throw new Error("not now");
  }, { group: "mails", retry: { minTimeout: 1 } });
  await broker.publish(new Paid({ amount: 1 }));
  await broker.idle();
  await broker.rewind(Paid, { group: "mails", to: "now" });
  const of = (name: string) => channels.heard.filter((text) => text.includes(name));
  await until(() => of("settle:asyncEnd").length === 2, "both attempts are settled");
  assertEquals(of("publish"), ["tracing:tidings.publish:start 1 ok", "tracing:tidings.publish:asyncEnd 1 ok"]);
  assertEquals(of("handle"), [
    "tracing:tidings.handle:start 1 starts ok",
    "tracing:tidings.handle:error 1 retry Error: not now",
    "tracing:tidings.handle:asyncEnd 1 retry Error: not now",
    "tracing:tidings.handle:start 2 starts ok",
    "tracing:tidings.handle:asyncEnd 2 ack ok",
  ]);
  assertEquals(of("settle"), [
    "tracing:tidings.settle:start retry starts",
    "tracing:tidings.settle:asyncEnd retry 0",
    "tracing:tidings.settle:start ack starts",
    "tracing:tidings.settle:asyncEnd ack 0",
  ]);
  assertEquals(of("operate"), [
    "tracing:tidings.operate:start rewind starts",
    "tracing:tidings.operate:asyncEnd rewind 0",
  ]);
  assertEquals(of("lifecycle"), ["tidings.lifecycle retry mails true"]);
});

Deno.test("publishDiagnostics() runs handlers with the stores that are bound to tidings.handle", async () => {
  const store = new AsyncLocalStorage<string>();
  const start = channel("tracing:tidings.handle:start") as unknown as {
    bindStore(store: AsyncLocalStorage<string>, of: (message: HandleMessage) => string): void;
    unbindStore(store: AsyncLocalStorage<string>): void;
  };
  start.bindStore(store, ({ delivery }) => `attempt ${delivery.attempt}`);
  try {
    await using broker = new InMemoryBroker({ events: [Paid] });
    using _diagnostics = publishDiagnostics(broker);
    const found: (string | undefined)[] = [];
    await broker.subscribe(Paid, async () => {
      await Promise.resolve();
      found.push(store.getStore());
    }, { group: "mails" });
    await broker.publish(new Paid({ amount: 1 }));
    await broker.idle();
    assertEquals(found, ["attempt 1"]);
  } finally {
    start.unbindStore(store);
  }
});

Deno.test("publishDiagnostics() observes nothing while no channel has a subscriber", async () => {
  await using broker = new InMemoryBroker({ events: [Paid] });
  let observer: BrokerObserver = {};
  broker.observe = (given) => {
    observer = given;
    return { [Symbol.dispose]() {} };
  };
  publishDiagnostics(broker);
  const batch = { eventType: "Paid", group: "mails", consumer: "me", outcomes: [] };
  const observe = () => [
    observer.publishing!([new Paid({ amount: 1 })]),
    observer.handling!({} as Delivery, "handler"),
    observer.settling!(batch),
    observer.operating!({ name: "trim", eventType: "Paid", group: undefined }),
  ];
  assertEquals(observe(), [undefined, undefined, undefined, undefined]);
  using _channels = listen("tracing:tidings.settle:error");
  assertEquals(observe().map((observation) => observation === undefined), [true, true, false, true]);
});

Deno.test("publishDiagnostics() publishes nothing where there is no node:diagnostics_channel", async () => {
  const { getBuiltinModule } = process;
  process.getBuiltinModule = () => undefined as never;
  try {
    const url = new URL("../../src/telemetry/diagnostics.ts?without", import.meta.url).href;
    const without: typeof import("@tidings/broker/telemetry") = await import(url);
    await using broker = new InMemoryBroker({ events: [Paid] });
    using channels = listen("tracing:tidings.publish:start");
    using _diagnostics = without.publishDiagnostics(broker);
    await broker.publish(new Paid({ amount: 1 }));
    assertEquals(channels.heard, []);
  } finally {
    process.getBuiltinModule = getBuiltinModule;
  }
});

Deno.test("publishDiagnostics() publishes nothing once it is disposed", async () => {
  using channels = listen("tracing:tidings.publish:start");
  await using broker = new InMemoryBroker({ events: [Paid] });
  publishDiagnostics(broker)[Symbol.dispose]();
  await broker.publish(new Paid({ amount: 1 }));
  assertEquals(channels.heard, []);
});
