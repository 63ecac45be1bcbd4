import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import type { EntriesLostEvent } from "../../../broker/mod.ts";
import { defineEvent } from "../../../events/mod.ts";
import { positionTime } from "../../../store/mod.ts";
import {
  assertOrder,
  assertSame,
  type BrokerContract,
  contract,
  Counted,
  counted,
  groupOf,
  lettersOf,
  Seen,
  settled,
  STREAM,
  told,
  until,
} from "../../_broker_bench.ts";

/** Contracts of entries that this broker did not publish. */
export const entries: readonly BrokerContract[] = [
  contract("24", "subscribe() dead-letters undecodable entries and delivers the 99 others", async (bench) => {
    const broker = await bench.broker();
    const store = await bench.store();
    const seen = new Seen<Counted>();
    const before = counted(50);
    await broker.publish(before);
    const broken = [
      ["payload", "{", "id", "b-1"],
      ["id", "b-2", "detail", "{}"],
      ["id", "b-4", "payload", "{}", "version", "x"],
      ["id", "b-5", "payload", "{}", "time", "yesterday"],
      ["id", "b-6", "payload", "{}", "ext", "[]"],
      ["note", "neither id nor payload"],
    ];
    const positions = await store.append(STREAM, broken);
    const after = counted(49, 50);
    await broker.publish(after);
    let lost = 0;
    const subscription = await broker.subscribe(Counted, seen.handler, { group: "group", concurrency: 5 });
    subscription.addEventListener("leaselost", () => lost++);
    await settled(broker, Counted);
    assertOrder(seen.ids, [...before, ...after]);
    const letters = await lettersOf(broker, Counted);
    assertEquals(letters.map(({ position }) => position), positions);
    for (const { reason, event } of letters) assertEquals([reason, event], ["undecodable", undefined]);
    assertEquals(letters.map(({ raw }) => Object.entries(raw).flat()), broken);
    for (const { error } of letters) assertEquals(error.name, "UndecodableError");
    assertStringIncludes(letters[1]!.error.message, "payload");
    assertEquals(lost, 0);
  }, "store"),

  contract("27", "subscribe() reports pending entries that were removed from the stream", async (bench) => {
    const broker = await bench.broker();
    const store = await bench.store();
    const events = counted(6);
    await broker.publish(events);
    let fail = true;
    const seen = new Seen<Counted>();
    const subscription = await broker.subscribe(Counted, (event) => {
      if (fail) throw new Error("later");
      seen.handler(event);
    }, { group: "group", concurrency: 10, retry: { minTimeout: 100, maxTimeout: 100, maxAttempts: Infinity } });
    const lost = told<EntriesLostEvent>(subscription, "entrieslost");
    await until(async () => (await groupOf(broker, Counted)).retrying === 6, "all events wait for their next attempt");
    await store.admin(STREAM).trim({ maxLength: 2, force: true });
    fail = false;
    await settled(broker, Counted);
    assertSame(seen.ids, events.slice(4));
    assertSame(lost.flatMap(({ positions }) => positions), events.slice(0, 4).map(({ position }) => position!));
    assert(lost.every(({ eventType }) => eventType === "Counted"));
  }, "store"),

  contract("1, 24", "subscribe() decodes entries of other writers", async (bench) => {
    class Bid extends defineEvent("Bid", {
      version: 2,
      upcast: {
        0: (detail: { price_usd: number }) => ({ price: detail.price_usd }),
        1: (detail: { price: number }) => ({ cents: detail.price * 100 }),
      },
    })<{ cents: number }> {}
    const broker = await bench.connect([Bid]);
    const store = await bench.store();
    const positions = await store.append("events:Bid", [
      ["event_type", "Bid", "payload", '{"price_usd":3}'],
      ["id", "b-1", "payload", '{"price":4}'],
      ["payload", '{"cents":500}', "version", "2", "time", "2026-01-02T03:04:05Z", "unknown", "field", "id", "b-2"],
    ]);
    const seen = new Seen<Bid>();
    await broker.subscribe(Bid, seen.handler, { group: "group" });
    await settled(broker, Bid);
    assertEquals(seen.ids, [`Bid:${positions[0]}`, "b-1", "b-2"]);
    assertEquals(seen.events.map(({ detail }) => detail.cents), [300, 400, 500]);
    assertEquals(seen.events[0]!.time.getTime(), positionTime(positions[0]!));
    assertEquals(seen.events[2]!.time, new Date("2026-01-02T03:04:05Z"));
  }, "store"),
];
