import { assert, assertEquals, assertRejects } from "@std/assert";
import { PublishQueueFullError } from "../../../broker/mod.ts";
import { defineEvent, type StandardSchemaV1, ValidationError } from "../../../events/mod.ts";
import {
  assertOrder,
  assertSame,
  type BrokerContract,
  contract,
  Counted,
  counted,
  insist,
  Seen,
  settled,
  sleep,
  within,
} from "../../_broker_bench.ts";
import { PausableSchema, refused, schemaOf } from "../../_schemas.ts";

const asked = ({ schema }: PausableSchema) => class Asked extends defineEvent("Asked", { schema }) {};

/** Contracts of events that are prepared asynchronously before they are stored. */
export const preparing: readonly BrokerContract[] = [
  contract("30", "publish() keeps the order of calls when preparing takes different times", async (bench) => {
    const validation = new PausableSchema().hold(0, 2, 3, 5);
    // Even numbers validate by a promise, held odd numbers too, the other ones at once.
    const later = validation.schema["~standard"].validate;
    const schema: StandardSchemaV1<{ n: number }> = schemaOf((detail: { n: number }) =>
      [0, 2, 3, 5].includes(detail.n) ? later(detail) as Promise<{ value: { n: number } }> : { value: detail }
    );
    class Asked extends defineEvent("Asked", { schema }) {}
    const broker = await bench.connect([Asked, Counted]);
    const events = Array.from({ length: 8 }, (_, n) => new Asked({ n }));
    const [other] = counted(1);
    const publishing = [
      broker.publish(events[0]!),
      broker.publish(events[1]!),
      broker.publish([events[2]!, other!, events[3]!]),
      broker.publish(events[4]!),
      broker.publish(events[5]!),
      broker.publish([events[6]!, events[7]!]),
    ];
    // A call for another stream does not wait.
    const [ahead] = counted(1, 1);
    const waits = broker.publish(ahead!);
    validation.release(5, 3, 2);
    await sleep(20);
    assertEquals(await Array.fromAsync(broker.history(Asked)), []);
    validation.release(0);
    await within(Promise.all(publishing), "all to be stored");
    await waits;
    assertOrder((await Array.fromAsync(broker.history(Asked))).map(({ id }) => id), events);
    assertOrder((await Array.fromAsync(broker.history(Counted))).map(({ id }) => id), [other!, ahead!]);
  }),

  contract(
    "30",
    "publish() stores nothing of a call that a schema refuses, and goes on with the next call",
    async (bench) => {
      const validation = new PausableSchema((n) => n < 0 ? refused("too low", "n") : { value: { n } });
      const Asked = asked(validation);
      const broker = await bench.connect([Asked, Counted]);
      const refusedOnes = [new Asked({ n: -1 }), new Asked({ n: -2 })] as const;
      const [first, second, third] = [new Asked({ n: 1 }), new Asked({ n: 2 }), new Asked({ n: 3 })] as const;
      const [other] = counted(1);
      const outcomes = await Promise.allSettled([
        broker.publish(first),
        broker.publish(refusedOnes[0]),
        broker.publish([second, other!, refusedOnes[1]]),
        broker.publish(third),
      ]);
      assertEquals(outcomes.map(({ status }) => status), ["fulfilled", "rejected", "rejected", "fulfilled"]);
      for (const outcome of outcomes) {
        if (outcome.status === "fulfilled") continue;
        assert(outcome.reason instanceof ValidationError);
        assertEquals(outcome.reason.issues, [{ path: "detail.n", message: "too low" }]);
      }
      assertOrder((await Array.fromAsync(broker.history(Asked))).map(({ id }) => id), [first, third]);
      assertEquals(await Array.fromAsync(broker.history(Counted)), []);
      await assertRejects(() => broker.publish(refusedOnes[0]), ValidationError);
      // The event that was refused along with it can still be published.
      assertEquals((await broker.publish([second, other!])).length, 2);
    },
  ),

  contract("30", "publish() stores an object once when it is published twice at the same time", async (bench) => {
    const schema = schemaOf<{ n: number; twice?: number }>(async (detail) => {
      await Promise.resolve();
      return { value: { ...detail, twice: detail.n * 2 } };
    });
    class Doubled extends defineEvent("Doubled", { schema }) {}
    const broker = await bench.connect([Doubled]);
    const event = new Doubled({ n: 4 });
    const positions = await Promise.all([broker.publish(event), broker.publish(event), broker.publish([event])]);
    assertEquals(new Set(positions.flat()), new Set([event.position!]));
    assertEquals(event.detail, { n: 4, twice: 8 });
    assertEquals(await broker.publish(event), event.position!);
    const stored = await Array.fromAsync(broker.history(Doubled));
    assertEquals(stored.map(({ id, detail }) => [id, detail]), [[event.id, { n: 4, twice: 8 }]]);
  }),

  contract("30", "publish() of the same object validates again after its schema failed", async (bench) => {
    let away = 1;
    const Asked = asked(
      new PausableSchema((n) => {
        if (away-- > 0) throw new Error("The database is away");
        return { value: { n } };
      }),
    );
    const broker = await bench.connect([Asked]);
    const event = new Asked({ n: 1 });
    await assertRejects(() => broker.publish(event), Error, "its schema gave no answer: The database is away");
    assertEquals(await Array.fromAsync(broker.history(Asked)), []);
    const position = await broker.publish(event);
    assertEquals((await Array.fromAsync(broker.history(Asked))).map(({ position }) => position), [position]);
  }),

  contract("30, 34", "publish() stops waiting for a schema on abort and on timeout", async (bench) => {
    const validation = new PausableSchema().hold(0, 1);
    const Asked = asked(validation);
    const broker = await bench.connect([Asked], { publishTimeout: 50 });
    const events = [0, 1, 2].map((n) => new Asked({ n }));
    const controller = new AbortController();
    const aborted = broker.publish(events[0]!, { signal: controller.signal });
    const late = broker.publish(events[1]!);
    const behind = broker.publish(events[2]!);
    const reason = new Error("enough");
    controller.abort(reason);
    assertEquals(await aborted.catch((error) => error), reason);
    await assertRejects(() => broker.publish(events[0]!, { signal: controller.signal }), Error, "enough");
    const [first, second] = await Promise.allSettled([late, behind]);
    assert(first!.status === "rejected" && /in time: .*; nothing was stored/.test(first!.reason.message));
    // It waited behind the other call: either outcome agrees with the stored events.
    const stored = (await Array.fromAsync(broker.history(Asked))).map(({ id }) => id);
    assertEquals(stored, second!.status === "fulfilled" ? [events[2]!.id] : []);
    validation.release(0, 1);
    assert(await insist(() => broker.publish(events[1]!)) === events[1]!.position);
  }),

  contract("32", "close() waits for events that are being prepared", async (bench) => {
    const validation = new PausableSchema().hold(0);
    const Asked = asked(validation);
    const [broker, observer] = [await bench.connect([Asked]), await bench.connect([Asked])];
    const events = [0, 1].map((n) => new Asked({ n }));
    const publishing = events.map((event) => broker.publish(event));
    const closing = broker.close();
    await sleep(20);
    validation.release(0);
    await within(Promise.all([...publishing, closing]), "the broker to close");
    assertOrder((await Array.fromAsync(observer.history(Asked))).map(({ id }) => id), events);
  }),

  contract("31", "publish() counts events being prepared against maxQueued", async (bench) => {
    const validation = new PausableSchema().hold(0);
    const Asked = asked(validation);
    const broker = await bench.connect([Asked], { maxQueued: 2 });
    const events = [0, 1, 2].map((n) => new Asked({ n }));
    const waiting = [broker.publish(events[0]!), broker.publish(events[1]!)];
    await assertRejects(() => broker.publish(events[2]!), PublishQueueFullError, "2 events wait");
    validation.release(0);
    await Promise.all(waiting);
    await broker.publish(events[2]!);
    assertOrder((await Array.fromAsync(broker.history(Asked))).map(({ id }) => id), events);
  }),

  contract("30", "publish() in a handler records its cause however long preparing takes", async (bench) => {
    const validation = new PausableSchema().hold(0);
    const Asked = asked(validation);
    const broker = await bench.connect([Counted, Asked]);
    const causes = counted(2);
    await broker.publish(causes);
    const published: InstanceType<typeof Asked>[] = [];
    await broker.subscribe(Counted, async ({ detail }) => {
      const event = new Asked({ n: detail.n });
      published.push(event);
      await broker.publish(event);
    }, { group: "group", concurrency: 2 });
    await validation.started(0, 1);
    // Published outside any handler, behind the events published inside.
    const free = new Asked({ n: 2 });
    const waits = broker.publish(free);
    validation.release(0);
    await waits;
    await settled(broker, Counted);
    const seen = new Seen<InstanceType<typeof Asked>>();
    await broker.subscribe(Asked, seen.handler, { group: "group" });
    await settled(broker, Asked);
    assertSame(seen.ids, [...published, free]);
    assertEquals(seen.events.map(({ detail, causationId }) => [detail.n, causationId]), [
      ...published.map(({ detail }, nth) => [detail.n, causes[nth]!.id]),
      [2, undefined],
    ]);
  }),
];
