import { inspect } from "node:util";
import { assert, assertEquals, assertMatch } from "@std/assert";
import {
  BrokerErrorEvent,
  defineEvent,
  EventBroker,
  InMemoryBroker,
  PermanentError,
  RetryEvent,
  StoreError,
} from "@tidings/broker";
import { isPermanent } from "../../src/broker/errors.ts";
import { InMemoryStore } from "../../src/memory/mod.ts";
import type { EventStore, GroupMember, MemberOptions } from "../../src/store/mod.ts";
import { until } from "../../src/testing/_broker_bench.ts";

class Counted extends defineEvent("Counted")<{ n: number }> {}

/** Collects errors given to `reportError`, which would end the process. */
async function reported(work: (errors: readonly unknown[]) => Promise<void>): Promise<unknown[]> {
  const errors: unknown[] = [];
  const original = globalThis.reportError;
  globalThis.reportError = (error) => void errors.push(error);
  try {
    await work(errors);
  } finally {
    globalThis.reportError = original;
  }
  return errors;
}

Deno.test("EventBroker gives an error to its listeners, and to the platform only when there are none", async () => {
  const thrown = new Error("thrown by a listener");
  const heard: unknown[] = [];
  const unheard = await reported(async (errors) => {
    const broker = new InMemoryBroker({ events: [Counted] });
    broker.addEventListener("Counted", () => {
      throw thrown;
    });
    await broker.publish(new Counted({ n: 1 }));
    await until(() => errors.length === 1, "the platform has the first error");
    broker.addEventListener("error", ({ error }) => heard.push(error), { once: true });
    await broker.publish(new Counted({ n: 2 }));
    await until(() => heard.length === 1, "the listener has the second error");
    await broker.publish(new Counted({ n: 3 }));
    await until(() => errors.length === 2, "the platform has the third error");
    await broker.close();
  });
  assertEquals([unheard, heard], [[thrown, thrown], [thrown]]);
});

Deno.test("lifecycle events are inspected with their own fields", () => {
  const events = [
    [new BrokerErrorEvent(new Error("no disk")), /^BrokerErrorEvent \{\s+type: ["']error["'],\s+error: Error: no disk/],
    [
      new RetryEvent("Counted", "1-0", 2, 50, "why"),
      /^RetryEvent \{[^]*attempt: 2,\s+delay: 50,\s+error: ["']why["']\s+\}$/,
    ],
  ] as const;
  for (const [event, shown] of events) {
    for (const text of [Deno.inspect(event), inspect(event)]) assertMatch(text, shown);
  }
});

Deno.test("EventBroker reports an error of an error listener once", async () => {
  const again = new Error("thrown by an error listener");
  const unheard = await reported(async (errors) => {
    const broker = new InMemoryBroker({ events: [Counted] });
    broker.addEventListener("Counted", () => {
      throw new Error("first");
    });
    broker.addEventListener("error", () => {
      throw again;
    });
    await broker.publish(new Counted({ n: 1 }));
    await until(() => errors.length > 0, "the platform has the error");
    await broker.close();
  });
  assertEquals(unheard, [again]);
});

Deno.test("a subscription's error goes to its listeners, else to the broker's, else to the platform", async () => {
  const final = new Error("wrong password");
  for (const listener of ["subscription", "broker", "nobody"]) {
    const heard: unknown[] = [];
    const unheard = await reported(async () => {
      const inner = new InMemoryStore();
      const store: EventStore = {
        append: (...args) => inner.append(...args),
        appendRevised: (...args) => inner.appendRevised(...args),
        revision: (...args) => inner.revision(...args),
        readSubject: (...args) => inner.readSubject(...args),
        read: (...args) => inner.read(...args),
        admin: (stream) => inner.admin(stream),
        state: (...args) => inner.state(...args),
        schedule: (...args) => inner.schedule(...args),
        limiter: (...args) => inner.limiter(...args),
        member: async (stream: string, group: string, options: MemberOptions): Promise<GroupMember> => {
          const member = await inner.member(stream, group, options);
          return {
            consumer: member.consumer,
            claim: (options) => member.claim(options),
            renew: (held) => member.renew(held),
            settle: () => Promise.reject(final),
            held: (deliveries) => member.held(deliveries),
            control: () => member.control(),
            keep: (delivery, name, text) => member.keep(delivery, name, text),
            kept: (delivery) => member.kept(delivery),
            leave: () => member.leave(),
          };
        },
        [Symbol.asyncDispose]: () => inner[Symbol.asyncDispose](),
      };
      const broker = new EventBroker(store, { events: [Counted] });
      const subscription = await broker.subscribe(Counted, () => {}, { group: "group" });
      const tell = ({ error }: BrokerErrorEvent) => heard.push(error);
      if (listener === "subscription") subscription.addEventListener("error", tell);
      if (listener === "broker") broker.addEventListener("error", tell);
      await broker.publish(new Counted({ n: 1 }));
      assert(await subscription.closed.catch((error) => error) === final);
      await broker.close();
    });
    assertEquals([heard, unheard], listener === "nobody" ? [[], [final]] : [[final], []]);
  }
});

Deno.test("EventBroker goes on after trimming failed", async () => {
  const inner = new InMemoryStore();
  const store: EventStore = {
    append: (...args) => inner.append(...args),
    appendRevised: (...args) => inner.appendRevised(...args),
    revision: (...args) => inner.revision(...args),
    readSubject: (...args) => inner.readSubject(...args),
    read: (...args) => inner.read(...args),
    member: (...args) => inner.member(...args),
    state: (...args) => inner.state(...args),
    schedule: (...args) => inner.schedule(...args),
    limiter: (...args) => inner.limiter(...args),
    admin: (stream) =>
      Object.assign(inner.admin(stream), { trim: () => Promise.reject(new StoreError("transient", "locked")) }),
    [Symbol.asyncDispose]: () => inner[Symbol.asyncDispose](),
  };
  const unheard = await reported(async () => {
    const broker = new EventBroker(store, { events: [Counted], retention: { maxLength: 10 } });
    for (let n = 0; n < 3; n++) await broker.publish(Array.from({ length: 100 }, (_, n) => new Counted({ n })));
    assertEquals((await broker.info(Counted)).length, 300);
    await broker.close();
  });
  // Trimming is tried again later, so this is not an error that ends a process.
  assertEquals(unheard, []);
});

Deno.test("a listener that throws an unreadable value does not end the process when reports are handled", async () => {
  const refuse = (): never => {
    throw new RangeError("not to be read");
  };
  const error = Object.defineProperty(new Error("hidden"), "message", { get: refuse });
  const proxy = new Proxy(new Error("behind a proxy"), { get: refuse, getPrototypeOf: refuse });
  const reports: unknown[] = [];
  const onReport = (event: Event) => {
    event.preventDefault();
    reports.push((event as ErrorEvent).error);
  };
  addEventListener("error", onReport);
  try {
    const broker = new InMemoryBroker({ events: [Counted] });
    broker.addEventListener("Counted", ({ detail: { n } }) => {
      throw [error, proxy, undefined][n];
    });
    for (const n of [0, 1, 2]) await broker.publish(new Counted({ n }));
    await until(() => reports.length === 3, "the platform has all errors");
    await broker.close();
  } finally {
    removeEventListener("error", onReport);
  }
  for (const report of reports) assert(report instanceof Error && /^Cannot show a thrown value/.test(report.message));
});

Deno.test("a PermanentError of another copy of the package is permanent", async () => {
  const copy = "../../src/broker/errors.ts?copy";
  const { PermanentError: Other } = await import(copy) as { PermanentError: typeof PermanentError };
  assert(!(new Other("no") instanceof PermanentError));
  class Declined extends Other {}
  const same = Object.assign(new Error("no"), { name: "PermanentError" });
  const throwing = new Proxy({}, {
    get() {
      throw new Error("not to be read");
    },
  });
  assertEquals(
    [new PermanentError("no"), new Other("no"), new Declined("no"), same, throwing, undefined].map(isPermanent),
    [true, true, true, false, false, false],
  );

  class Sold extends defineEvent("Sold")<{ n: number }> {}
  await using broker = new InMemoryBroker({ events: [Sold] });
  await broker.subscribe(Sold, () => {
    throw new Declined("no more");
  }, { group: "group" });
  await broker.publish(new Sold({ n: 1 }));
  await broker.idle();
  const letters = await Array.fromAsync(broker.deadLetters(Sold, { group: "group" }));
  assertEquals(letters.map(({ reason, attempts }) => [reason, attempts]), [["permanent", 1]]);
});
