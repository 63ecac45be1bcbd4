import { assert, assertEquals, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import type { EventBroker } from "../../../broker/mod.ts";
import { defineEvent } from "../../../events/mod.ts";
import { type BrokerContract, contract, Counted, counted, Other } from "../../_broker_bench.ts";

type Loose =
  & {
    readonly [
      method in "publish" | "subscribe" | "replay" | "rewind" | "redrive" | "discardDeadLetters" | "deleteGroup"
    ]: (
      ...args: unknown[]
    ) => Promise<unknown>;
  }
  & {
    readonly [method in "consume" | "history" | "deadLetters"]: (...args: unknown[]) => AsyncIterator<unknown>;
  };

/** The broker as JavaScript sees it. */
const loose = (broker: EventBroker<typeof Counted>) => broker as unknown as Loose;

/** Traps that throw whatever is read of a Proxy. */
const hostile: ProxyHandler<object> = {
  get: () => {
    throw new Error("nothing can be read");
  },
  getPrototypeOf: () => {
    throw new Error("nothing can be read");
  },
};

type ErrorClass = typeof TypeError | typeof RangeError;

/** An error message must say which action failed and name the way out. */
async function refuses(work: () => Promise<unknown>, kind: ErrorClass, ...parts: string[]): Promise<void> {
  const error = await assertRejects(work, kind);
  assert(error.message.startsWith("Cannot "), error.message);
  assert(!error.message.endsWith("."), error.message);
  for (const part of parts) assertStringIncludes(error.message, part);
}

const OPTIONS: readonly [object, ErrorClass, string][] = [
  [{ group: undefined }, TypeError, "group"],
  [{ group: "" }, TypeError, "empty"],
  [{ group: "two words" }, TypeError, "white space"],
  [{ group: "a{b}" }, TypeError, '"{"'],
  [{ group: "_retry" }, TypeError, "reserved"],
  [{ consumer: "a b" }, TypeError, "consumer"],
  [{ consumer: 5 }, TypeError, "consumer"],
  [{ prefetch: 0 }, RangeError, "prefetch"],
  [{ prefetch: 1.5 }, RangeError, "prefetch"],
  [{ prefetchBytes: 0 }, RangeError, "prefetchBytes"],
  [{ prefetchBytes: NaN }, RangeError, "prefetchBytes"],
  [{ prefetchBytes: "1" }, RangeError, "prefetchBytes"],
  [{ lease: 10 }, RangeError, "lease"],
  [{ lease: Infinity }, RangeError, "lease"],
  [{ drainTimeout: -1 }, RangeError, "drainTimeout"],
  [{ drainTimeout: NaN }, RangeError, "drainTimeout"],
  [{ startFrom: "begining" }, TypeError, "begining"],
  [{ startFrom: new Date("never") }, TypeError, "Date"],
  [{ startFrom: "1-2-3" }, TypeError, "1-2-3"],
  [{ retry: { maxAttempts: 0 } }, RangeError, "retry.maxAttempts"],
  [{ retry: { minTimeout: -1 } }, RangeError, "retry.minTimeout"],
  [{ retry: { minTimeout: 100, maxTimeout: 10 } }, RangeError, "retry.maxTimeout"],
  [{ retry: { multiplier: 0.5 } }, RangeError, "retry.multiplier"],
  [{ retry: { jitter: 2 } }, RangeError, "retry.jitter"],
  [{ retry: { attempts: 3 } }, TypeError, '"attempts"'],
  [{ concurency: 3 }, TypeError, '"concurency"'],
];

const SUBSCRIBE_OPTIONS: typeof OPTIONS = [
  [{ concurrency: 0 }, RangeError, "concurrency"],
  [{ concurrency: "8" }, RangeError, "concurrency"],
  [{ handlerTimeout: 0 }, RangeError, "handlerTimeout"],
  [{ key: "id" }, TypeError, "key"],
];

export const refusing: readonly BrokerContract[] = [
  contract("", "subscribe() and consume() refuse invalid options and say what to do", async (bench) => {
    const broker = loose(await bench.broker());
    const handler = () => {};
    for (const [option, kind, part] of [...OPTIONS, ...SUBSCRIBE_OPTIONS]) {
      await refuses(() => broker.subscribe(Counted, handler, { group: "group", ...option }), kind, part);
    }
    for (const [option, kind, part] of OPTIONS) {
      await refuses(async () => await broker.consume(Counted, { group: "group", ...option }).next(), kind, part);
    }
    await refuses(() => broker.subscribe(Counted, handler), TypeError, "group");
    await refuses(() => broker.subscribe(Counted, handler, {}), TypeError, "group");
    await refuses(async () => await broker.consume(Counted).next(), TypeError, "group");
    await refuses(() => broker.subscribe(Counted, handler, null), TypeError);
  }),

  contract("", "subscribe() and replay() refuse a handler that is no function", async (bench) => {
    const broker = loose(await bench.broker());
    for (const handler of [undefined, null, "text", {}, new Counted({ n: 1 })]) {
      await refuses(() => broker.subscribe(Counted, handler, { group: "group" }), TypeError, "function");
      await refuses(async () => await broker.replay(Counted, handler), TypeError, "function");
    }
  }),

  contract("", "all methods refuse a class that is not in events, and list the classes that are", async (bench) => {
    const strict = await bench.broker();
    const broker = loose(strict);
    const group = { group: "group" };
    const Namesake = class extends defineEvent("Counted")<object> {};
    for (const wrong of [Other, Namesake, undefined, null, "Counted", class {}, []]) {
      await refuses(() => broker.subscribe(wrong, () => {}, group), TypeError);
      await refuses(async () => await broker.consume(wrong, group).next(), TypeError);
      await refuses(async () => await broker.history(wrong).next(), TypeError);
      await refuses(async () => await broker.replay(wrong, () => {}), TypeError);
      await refuses(async () => await broker.deadLetters(wrong, group).next(), TypeError);
      await refuses(() => broker.rewind(wrong, { ...group, to: "now" }), TypeError);
      await refuses(() => broker.redrive(wrong, group), TypeError);
      await refuses(() => broker.deleteGroup(wrong, group), TypeError);
    }
    await refuses(() => broker.subscribe([Counted, Other], () => {}, group), TypeError, "Counted");
  }),

  contract("", "subscribe() refuses a second subscription of one broker to a group and type", async (bench) => {
    const broker = await bench.connect([Counted, Other]);
    const first = await broker.subscribe([Counted, Other], () => {}, { group: "group" });
    for (const events of [Counted, Other, [Other, Counted]]) {
      await refuses(() => broker.subscribe(events, () => {}, { group: "group" }), TypeError, "concurrency");
      await refuses(() => broker.consume(events, { group: "group" }).next(), TypeError, "concurrency");
    }
    await refuses(() => broker.subscribe([Counted, Counted], () => {}, { group: "twice" }), TypeError);
    await broker.subscribe(Counted, () => {}, { group: "twice" });
    await first.close();
    await broker.subscribe(Other, () => {}, { group: "group" });
    await broker.subscribe(Counted, () => {}, { group: "group" });
  }),

  contract("", "history(), rewind(), redrive() and others refuse invalid options", async (bench) => {
    const broker = loose(await bench.broker());
    const read: typeof OPTIONS = [
      [{ limit: -1 }, RangeError, "limit"],
      [{ limit: 1.5 }, RangeError, "limit"],
      [{ from: "yesterday" }, TypeError, "from"],
      [{ to: new Date(NaN) }, TypeError, "to"],
      [{ after: 5 }, TypeError, "after"],
      [{ follow: true, reverse: true }, TypeError, "follow"],
      [{ reversed: true }, TypeError, '"reversed"'],
    ];
    for (const [options, kind, part] of read) {
      await refuses(async () => await broker.history(Counted, options).next(), kind, part);
      await refuses(async () => await broker.replay(Counted, () => {}, options), kind, part);
    }
    await refuses(() => broker.rewind(Counted, { group: "group", to: "then" }), TypeError, "then");
    await refuses(() => broker.rewind(Counted, { to: "now" }), TypeError, "group");
    await refuses(() => broker.redrive(Counted, { group: "group", id: "1" }), TypeError, '"id"');
    await refuses(() => broker.redrive(Counted, { group: "" }), TypeError, "group");
    await refuses(() => broker.deleteGroup(Counted, { group: "a b" }), TypeError, "group");
    await refuses(async () => await broker.deadLetters(Counted, { group: 5 }).next(), TypeError, "group");
    await refuses(() => broker.rewind(Counted), TypeError, "options");
    await refuses(() => broker.rewind(Counted, { group: "group", form: "now" }), TypeError, '"form"');
    await refuses(() => broker.deleteGroup(Counted), TypeError, "options");
    await refuses(() => broker.deleteGroup(Counted, { group: "group", forced: true }), TypeError, '"forced"');
    await refuses(async () => await broker.deadLetters(Counted).next(), TypeError, "options");
    for (const ids of ["1", 1, null, [1], [undefined]]) {
      await refuses(() => broker.redrive(Counted, { group: "group", ids }), TypeError, "dead letter");
      await refuses(() => broker.discardDeadLetters(Counted, { group: "group", ids }), TypeError, "dead letter");
    }
  }),

  contract("", "a broker refuses invalid events and options", async (bench) => {
    const connect = bench.under.connect.bind(bench.under) as (...args: unknown[]) => Promise<unknown>;
    const Namesake = class extends defineEvent("Counted")<object> {};
    await refuses(() => connect([]), TypeError, "events");
    await refuses(() => connect(undefined), TypeError, "events");
    await refuses(() => connect([Counted, Namesake]), TypeError, '"Counted"');
    await refuses(() => connect([Counted, Counted]), TypeError, '"Counted"');
    await refuses(() => connect([class {}]), TypeError, "defineEvent");
    await refuses(() => connect([Counted], { publishTimeout: 0 }), RangeError, "publishTimeout");
    await refuses(() => connect([Counted], { maxQueued: 0 }), RangeError, "maxQueued");
    await refuses(() => connect([Counted], { maxQueuedBytes: 0.5 }), RangeError, "maxQueuedBytes");
    await refuses(() => connect([Counted], { prefix: "a b" }), TypeError, "white space");
    await refuses(() => connect([Counted], { publishTimout: 5 }), TypeError, '"publishTimout"');
    await refuses(() => connect([Counted], { retention: { maxLength: -1 } }), RangeError, "maxLength");
    await refuses(() => connect([Counted], { retention: { maxBytes: 0 } }), RangeError, "maxBytes");
    await refuses(() => connect([Counted], { retention: { maxBytes: 1.5 } }), RangeError, "maxBytes");
    const kept = (type: string, maxBytes: number) =>
      class extends defineEvent(type, { stream: "Shared", retention: { maxBytes } })<object> {};
    await refuses(() => connect([kept("One", 1_000), kept("Two", 2_000)]), TypeError, "different retentions");
    await refuses(() => connect([Counted], { retention: { maxSize: 1 } }), TypeError, "maxSize");
  }),

  contract("", "all methods refuse a signal that is no AbortSignal", async (bench) => {
    const broker = await bench.broker();
    const group = { group: "group" };
    await (await broker.subscribe(Counted, () => {}, group)).close();
    const wrong = [null, {}, "soon", new AbortController(), new Proxy(new AbortController().signal, hostile)];
    for (const signal of wrong as AbortSignal[]) {
      const uses: (() => Promise<unknown>)[] = [
        () => bench.under.connect([Counted], { signal }),
        () => broker.publish(counted(1)[0]!, { signal }),
        () => broker.publish(counted(2), { signal }),
        () => broker.subscribe(Counted, () => {}, { ...group, signal }),
        async () => await broker.consume(Counted, { ...group, signal }).next(),
        async () => await broker.history(Counted, { signal }).next(),
        async () => await broker.replay(Counted, () => {}, { signal }),
        async () => await broker.deadLetters(Counted, { ...group, signal }).next(),
        () => broker.redrive(Counted, { ...group, signal }),
        () => broker.discardDeadLetters(Counted, { ...group, signal }),
        () => broker.idle({ signal }),
        async () => await broker.addEventListener("Counted", () => {}, { signal }),
      ];
      for (const use of uses) await refuses(use, TypeError, "as signal: give an AbortSignal");
    }
    assertEquals((await broker.info(Counted)).length, 0);
  }),

  contract("13", "all methods reject with the reason of their signal, whatever it is", async (bench) => {
    const broker = await bench.broker();
    const group = { group: "group" };
    await broker.publish(counted(1));
    await (await broker.subscribe(Counted, () => {}, group)).close();
    for (const reason of [null, 0, "enough", new Proxy(new Error("unreadable"), hostile)]) {
      const signal = AbortSignal.abort(reason);
      const uses: (() => Promise<unknown>)[] = [
        () => broker.publish(counted(1)[0]!, { signal }),
        () => broker.publish(counted(2), { signal }),
        () => broker.subscribe(Counted, () => {}, { ...group, signal }),
        () => broker.consume(Counted, { ...group, signal }).next(),
        () => broker.history(Counted, { signal }).next(),
        () => broker.replay(Counted, () => {}, { signal }),
        () => broker.deadLetters(Counted, { ...group, signal }).next(),
        () => broker.redrive(Counted, { ...group, signal }),
        () => broker.discardDeadLetters(Counted, { ...group, signal }),
        () => broker.idle({ signal }),
      ];
      for (const use of uses) {
        const outcome = await use().then(() => "resolved", (error) => ({ error }));
        assert(typeof outcome === "object" && outcome.error === reason, String(use));
      }
    }
    const controller = new AbortController();
    const other = await bench.broker({ signal: controller.signal });
    const { closed } = await other.subscribe(Counted, () => {}, { group: "other", signal: controller.signal });
    controller.abort(new Proxy(new Error("unreadable"), hostile));
    await closed;
    await other.close();
  }),

  contract("11", "a broker with another prefix has streams of its own", async (bench) => {
    const [one, other] = [await bench.broker({ prefix: "shop" }), await bench.broker()];
    await one.publish(counted(1));
    assert((await one.info(Counted)).length === 1 && (await other.info(Counted)).length === 0);
    assertThrows(() => defineEvent("lowercase"), TypeError);
  }),

  contract(
    "",
    "publish(), subscribe() and history() report another class of the same type",
    async (bench) => {
      const broker = await bench.broker();
      class Copy extends defineEvent("Counted")<{ n: number }> {}
      const uses = [
        () => broker.publish(new Copy({ n: 1 }) as unknown as Counted),
        () => broker.publish([new Copy({ n: 1 }) as unknown as Counted]),
        () => broker.subscribe(Copy as unknown as typeof Counted, () => {}, { group: "group" }),
        async () => await broker.history(Copy as unknown as typeof Counted).next(),
        async () => await broker.info(Copy as unknown as typeof Counted),
      ];
      for (const use of uses) {
        const error = await assertRejects(async () => void await use(), TypeError, "another class of");
        assertStringIncludes(error.message, '"Counted"');
        assertStringIncludes(error.message, "loaded twice");
        assertStringIncludes(error.message, "import it from one place");
      }
    },
  ),

  contract("", "a class that another copy of the package made is refused with that reason", async (bench) => {
    // The class as it looks here: its definition has a key that this copy does not know.
    class Foreign extends CustomEvent<{ n: number }> {
      static readonly type = "Counted";
      constructor() {
        super("Counted", { detail: { n: 1 } });
      }
    }
    const connect = bench.under.connect.bind(bench.under) as (...args: unknown[]) => Promise<unknown>;
    const broker = loose(await bench.broker());
    await refuses(() => broker.publish(new Foreign()), TypeError, "another copy of @tidings/broker");
    await refuses(() => broker.subscribe(Foreign, () => {}, { group: "group" }), TypeError, "another copy of");
    await refuses(() => connect([Foreign]), TypeError, "another copy of");
  }),

  contract(
    "",
    "addEventListener() refuses a listener that cannot be called, and ignores a missing one",
    async (bench) => {
      const broker = await bench.broker();
      for (const listener of [5, "text", true] as unknown as (() => void)[]) {
        assertThrows(() => broker.addEventListener("Counted", listener), TypeError, "Cannot listen with");
      }
      broker.addEventListener("Counted", undefined as unknown as () => void);
      await broker.publish(new Counted({ n: 1 }));
    },
  ),
];
