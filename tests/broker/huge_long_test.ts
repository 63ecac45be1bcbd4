// Guarantees 1, 23: huge entries without a server; tests/redis/consuming/huge_long_test.ts shows the same with one.

import { assertEquals, assertStringIncludes } from "@std/assert";
import { connect, defineEvent, EventBroker } from "@tidings/broker";
import { InMemoryStore } from "../../src/memory/mod.ts";
import { SqliteStore } from "../../src/sqlite/mod.ts";
import { lettersOf, settled, until } from "../../src/testing/_broker_bench.ts";

class Scan extends defineEvent("Scan")<{ page: string }> {}

const huge = (megabytes: number): string[] => ["payload", `{"page":"${"x".repeat(megabytes * 2 ** 20)}"}`];

async function assertThrough(broker: EventBroker<typeof Scan>): Promise<void> {
  const pages: string[] = [];
  await broker.subscribe(Scan, ({ detail }) => void pages.push(detail.page), { group: "group" });
  await until(() => pages.length === 1, "the other entry is handled", 60_000);
  await settled(broker, Scan);
  const [letter] = await lettersOf(broker, Scan);
  assertEquals([pages, letter!.reason], [["after"], "undecodable"]);
  assertStringIncludes(letter!.error.message, "are read");
}

for (const megabytes of [100, 400]) {
  Deno.test(`InMemoryStore: an entry of ${megabytes} MB is a dead letter, and the other entries are handled`, async () => {
    const store = new InMemoryStore();
    await store.append("events:Scan", [huge(megabytes), ["payload", '{"page":"after"}']]);
    await using broker = new EventBroker(store, { events: [Scan] });
    await assertThrough(broker);
  });

  // Only this package writes to its file, and its events have at most 16 MiB.
  if (megabytes > 100) continue;
  Deno.test(`SqliteStore: an entry of ${megabytes} MB is a dead letter, and the other entries are handled`, async () => {
    const directory = await Deno.makeTempDir({ prefix: "tidings-" });
    {
      await using store = await SqliteStore.open(`${directory}/events.db`);
      await store.append("events:Scan", [huge(megabytes), ["payload", '{"page":"after"}']]);
    }
    {
      await using broker = await connect(`sqlite:${directory}/events.db`, { events: [Scan] });
      await assertThrough(broker);
    }
    await Deno.remove(directory, { recursive: true });
  });
}
