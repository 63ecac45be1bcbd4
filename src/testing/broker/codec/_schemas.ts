import { assert, assertEquals, assertInstanceOf, assertRejects, assertStringIncludes } from "@std/assert";
import { UndecodableError } from "../../../broker/mod.ts";
import { defineEvent, ValidationError } from "../../../events/mod.ts";
import {
  assertOrder,
  assertSame,
  type BrokerContract,
  contract,
  groupOf,
  lettersOf,
  Seen,
  settled,
  SOON,
  told,
  until,
} from "../../_broker_bench.ts";
import { refused, schemaOf } from "../../_schemas.ts";

type Detail = { n: number; note?: string };

/** The same event type in a process without the schema. */
class Unchecked extends defineEvent("Checked")<Detail> {}

const positive = (detail: Detail) => detail.n > 0 ? { value: { note: "none", ...detail } } : refused("too low", "n");
class AtOnce extends defineEvent("Checked", { schema: schemaOf(positive) }) {}
class Later
  extends defineEvent("Checked", { schema: schemaOf((detail: Detail) => Promise.resolve(positive(detail))) }) {}

const numbered = (count: number): Unchecked[] => Array.from({ length: count }, (_, n) => new Unchecked({ n }));

/** Contracts of schemas that validate stored entries. */
export const schemas: readonly BrokerContract[] = [
  ...[AtOnce, Later].map((Checked) =>
    contract(
      "24",
      `subscribe() dead-letters a detail that its schema refuses ${
        Checked === Later ? "by a promise" : "at once"
      }, and delivers the rest in order`,
      async (bench) => {
        const writer = await bench.connect([Unchecked]);
        const broker = await bench.connect([Checked]);
        const events = numbered(20);
        events[7] = new Unchecked({ n: -7 });
        events[13] = new Unchecked({ n: -13 });
        await writer.publish(events);
        const seen = new Seen<InstanceType<typeof Checked>>();
        await broker.subscribe(Checked, seen.handler, { group: "group" });
        await settled(broker, Checked);
        assertOrder(seen.ids, events.filter(({ detail }) => detail.n > 0));
        assertEquals(seen.events.map(({ detail }) => detail.note), seen.events.map(() => "none"));
        const letters = await lettersOf(broker, Checked);
        assertEquals(letters.map(({ position }) => position), [0, 7, 13].map((n) => events[n]!.position!));
        for (const { reason, attempts, event, undecodable, error } of letters) {
          assertEquals([reason, attempts, event], ["undecodable", 0, undefined]);
          assertEquals(error.issues, [{ path: "detail.n", message: "too low" }]);
          assertStringIncludes(error.message, "its schema refuses detail.n (too low)");
          assertInstanceOf(undecodable, UndecodableError);
          assertInstanceOf(undecodable.cause, ValidationError);
        }
      },
    )
  ),

  contract("24, 28, 33", "history() and live listeners receive the schema's output", async (bench) => {
    const writer = await bench.connect([Unchecked]);
    for (const Checked of [AtOnce, Later]) {
      const broker = await bench.connect([Checked]);
      const live = new Seen<InstanceType<typeof Checked>>();
      broker.addEventListener("Checked", live.handler);
      const undecodable = told(broker, "undecodable");
      // A publish of the same broker waits until its listener is attached.
      const own = new Checked({ n: 1 });
      const start = await broker.publish(own);
      const events = [2, -1, 3].map((n) => new Unchecked({ n }));
      await writer.publish(events);
      await live.count(3);
      assertOrder(live.ids, [own, events[0]!, events[2]!]);
      assertEquals(undecodable.length, 1);
      const read: Detail[] = [];
      await assertRejects(
        async () => {
          for await (const { detail } of broker.history(Checked, { from: start })) read.push(detail);
        },
        UndecodableError,
        "its schema refuses detail.n (too low)",
      );
      assertEquals(read, [{ note: "none", n: 1 }, { note: "none", n: 2 }]);
      assertEquals(await broker.replay(Checked, ({ detail }) => read.push(detail), { after: events[1]!.position! }), 1);
      assertEquals(read.at(-1), { note: "none", n: 3 });
    }
  }),

  contract("24", "subscribe() validates upcast details and dead-letters those that throw", async (bench) => {
    class First extends defineEvent("Checked")<{ count: number | null }> {}
    class Second extends defineEvent("Checked", {
      version: 2,
      schema: schemaOf(positive),
      upcast: { 1: ({ count }) => ({ n: count.valueOf(), note: "upcast" }) },
    }) {}
    const writer = await bench.connect([First]);
    const broker = await bench.connect([Second]);
    const old = [1, null, 0, 4].map((count) => new First({ count }));
    await writer.publish(old);
    const now = new Second({ n: 5 });
    await broker.publish(now);
    const seen = new Seen<Second>();
    await broker.subscribe(Second, seen.handler, { group: "group" });
    await settled(broker, Second);
    assertOrder(seen.ids, [old[0]!, old[3]!, now]);
    assertEquals(seen.events.map(({ detail }) => [detail.n, detail.note]), [[1, "upcast"], [4, "upcast"], [5, "none"]]);
    const [thrown, refusal, ...more] = await lettersOf(broker, Second);
    assertEquals([thrown!.reason, thrown!.error.issues, refusal!.reason, more.length], [
      "undecodable",
      undefined,
      "undecodable",
      0,
    ]);
    assertStringIncludes(thrown!.error.message, "null");
    assertEquals(refusal!.error.issues, [{ path: "detail.n", message: "too low" }]);
  }),

  contract("24", "subscribe() dead-letters an entry its schema refuses, with 100 issues at most", async (bench) => {
    class Picky extends defineEvent("Checked", {
      schema: schemaOf((detail: Detail) => {
        if (detail.n === 1) throw new Error("Cannot look");
        if (detail.n === 2) return { issues: Array.from({ length: 1_000 }, (_, n) => ({ message: `no ${n}` })) };
        return { value: detail };
      }),
    }) {}
    const writer = await bench.connect([Unchecked]);
    const broker = await bench.connect([Picky]);
    const events = numbered(4);
    await writer.publish(events);
    const seen = new Seen<Picky>();
    await broker.subscribe(Picky, seen.handler, { group: "group" });
    await settled(broker, Picky);
    assertOrder(seen.ids, [events[0]!, events[3]!]);
    const letters = await lettersOf(broker, Picky);
    assertEquals(letters.map(({ reason }) => reason), ["undecodable", "undecodable"]);
    assertStringIncludes(letters[0]!.error.message, "its schema threw: Cannot look");
    assertEquals(letters[1]!.error.issues!.length, 100);
    assertEquals(letters[1]!.error.issues![0], { path: "detail", message: "no 0" });
    assertStringIncludes(letters[1]!.error.message, "and 995 more");
  }),

  contract(
    "4, 22",
    "subscribe() retries when a schema fails, and dead-letters after maxAttempts",
    async (bench) => {
      let away = 3;
      class Asking extends defineEvent("Checked", {
        schema: schemaOf((detail: Detail) => {
          if (detail.n === 1 && away-- > 0) return Promise.reject(new Error("The database is away"));
          if (detail.n === 2) return Promise.reject(new Error("The database is gone"));
          return Promise.resolve({ value: detail });
        }),
      }) {}
      const writer = await bench.connect([Unchecked]);
      const broker = await bench.connect([Asking]);
      const seen = new Seen<Asking>();
      const attempts: number[] = [];
      const subscription = await broker.subscribe(Asking, (event, { attempt }) => {
        seen.handler(event);
        attempts.push(attempt);
      }, { group: "group", retry: { ...SOON, maxAttempts: 5 } });
      const retries = told<Event & { error: Error; attempt: number }>(subscription, "retry");
      const events = numbered(5);
      await writer.publish(events);
      await settled(broker, Asking);
      // The retries of event 1 may come between the others, when those are claimed later.
      assertSame(seen.ids, [0, 3, 4, 1].map((n) => events[n]!));
      assertEquals(attempts.toSorted(), [1, 1, 1, 4]);
      const [letter, ...more] = await lettersOf(broker, Asking);
      assertEquals([letter!.position, letter!.reason, letter!.attempts, letter!.event, more.length], [
        events[2]!.position!,
        "attempts",
        5,
        undefined,
        0,
      ]);
      assertEquals(letter!.error.message, `Cannot decode Checked at ${events[2]!.position}: The database is gone`);
      assertEquals((letter!.undecodable!.cause as Error).message, "The database is gone");
      await until(() => retries.length === 7, "all failed attempts were reported");
      assert(retries.every(({ error }) => error.message.startsWith("Cannot decode Checked at ")));
      assertEquals((await groupOf(broker, Asking)).deadLetters, 1);
    },
  ),
];
