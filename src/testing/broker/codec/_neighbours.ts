import { assertEquals, assertStringIncludes } from "@std/assert";
import { defineEvent } from "../../../events/mod.ts";
import {
  assertSame,
  type BrokerContract,
  contract,
  Counted,
  counted,
  lettersOf,
  Seen,
  settled,
  STREAM,
} from "../../_broker_bench.ts";

/** Contracts of valid and invalid entries of other writers. */
export const neighbours: readonly BrokerContract[] = [
  contract(
    "1, 24",
    "subscribe() unwraps CloudEvents and keeps unknown fields",
    async (bench) => {
      class Sold extends defineEvent("Sold")<{ price: number }> {}
      const broker = await bench.connect([Sold]);
      const store = await bench.store();
      const envelope = {
        specversion: "1.0",
        id: "ce-1",
        source: "/till",
        type: "Sold",
        region: "eu",
        data: { price: 3 },
      };
      await store.append("events:Sold", [
        ["payload", JSON.stringify(envelope)],
        ["tenant", "t-1", "payload", '{"price":4}', "id", "own"],
      ]);
      const seen = new Seen<Sold>();
      await broker.subscribe(Sold, seen.handler, { group: "group" });
      await settled(broker, Sold);
      const [first, second] = seen.events;
      assertEquals([first!.id, first!.source, first!.extensions["region"]], ["ce-1", "/till", "eu"]);
      assertEquals([first!.detail, second!.detail], [{ price: 3 }, { price: 4 }]);
      assertEquals({ ...second!.unknownFields }, { tenant: "t-1" });
      await broker.publish(second!);
      const again = (await Array.fromAsync(broker.history(Sold))).at(-1)!;
      assertEquals([again.id, Object.keys(again.unknownFields)], ["own", []]);
    },
    "store",
  ),

  contract("24", "subscribe() dead-letters ambiguous entries, and no prototype changes", async (bench) => {
    const broker = await bench.broker();
    const store = await bench.store();
    const before = Reflect.ownKeys(Object.prototype);
    const bad: [string[], string][] = [
      [["payload", '{"n":9007199254740993}'], "exactly"],
      [["payload", "[".repeat(100_000)], "levels"],
      [["payload", ""], "empty"],
      [["payload", "{}", "id", "x".repeat(300)], "300"],
      [["payload", "{}", "time", "2026-01-02T03:04:05"], "zone"],
      [["payload", "{}", "version", "01"], "version"],
      [["payload", "{}", "ext", `{"a":"${"x".repeat(1_000_000)}","B":1}`], '"B"'],
      [["payload", '{"specversion":"1.0","type":"Other","data":1}'], "CloudEvent"],
    ];
    await store.append(STREAM, bad.map(([fields]) => fields));
    await store.append(STREAM, [["id", "trap", "payload", '{"__proto__":{"admin":true}}', "__proto__", "x"]]);
    const after = counted(3);
    await broker.publish(after);
    const seen = new Seen<Counted>();
    await broker.subscribe(Counted, seen.handler, { group: "group" });
    await settled(broker, Counted);
    assertSame(seen.ids, ["trap", ...after.map(({ id }) => id)]);
    const letters = await lettersOf(broker, Counted);
    assertEquals(letters.length, bad.length);
    for (const [at, { reason, error }] of letters.entries()) {
      assertEquals(reason, "undecodable");
      assertStringIncludes(error.message, bad[at]![1]);
    }
    assertEquals(Reflect.ownKeys(Object.prototype), before);
  }, "store"),
];
