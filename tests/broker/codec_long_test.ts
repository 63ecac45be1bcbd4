// Guarantees 1, 24: any entry is an event or a dead letter, and stops no group.

import { assertEquals } from "@std/assert";
import { EventBroker } from "@tidings/broker";
import fc from "fast-check";
import { InMemoryStore } from "../../src/memory/mod.ts";
import { SqliteStore } from "../../src/sqlite/mod.ts";
import type { EventStore } from "../../src/store/mod.ts";
import { until } from "../../src/testing/_broker_bench.ts";
import { openStore } from "../redis/_bench.ts";
import { RedisServer } from "../redis/_server.ts";
import { Any, anyFields, assertPrototypes, PROPERTIES } from "./_any_entry.ts";

const MINUTE = 60_000;
const BATCH = 200;

/** A store, and a resource to dispose after it. */
type Opened = readonly [EventStore, AsyncDisposable?];

const STORES: Readonly<Record<string, () => Promise<Opened>>> = {
  InMemoryStore: () => Promise.resolve([new InMemoryStore()]),
  SqliteStore: async () => {
    const directory = await Deno.makeTempDir({ prefix: "tidings-" });
    const remove = { [Symbol.asyncDispose]: () => Deno.remove(directory, { recursive: true }) };
    return [await SqliteStore.open(`${directory}/events.db`), remove];
  },
  RedisStore: async () => {
    const server = await RedisServer.start();
    return [await openStore(server.url), server];
  },
};

for (const [name, property] of Object.entries(PROPERTIES)) {
  Deno.test(`EventCodec.${name}, for a minute`, () => {
    fc.assert(property, { numRuns: Infinity, interruptAfterTimeLimit: MINUTE });
  });
}

for (const [name, open] of Object.entries(STORES)) {
  Deno.test(`${name}: entries of any kind never stop a group, for a minute`, async () => {
    const [store, place] = await open();
    await using _place = place;
    await using broker = new EventBroker(store, { events: [Any] });
    let [handled, given] = [0, 0];
    const subscription = await broker.subscribe(Any, () => void handled++, { group: "group", concurrency: 10 });
    let [dead, deferred] = [0, 0];
    subscription.addEventListener("deadletter", ({ reason }) => {
      assertEquals(reason, "undecodable");
      dead++;
    });
    subscription.addEventListener("deferred", () => void deferred++);
    const seed = Date.now();
    for (let round = 0; Date.now() < seed + MINUTE; round++) {
      const entries = fc.sample(anyFields, { seed: seed + round, numRuns: BATCH });
      await store.append("events:Any", entries);
      given += entries.length;
      await until(
        () => handled + dead + deferred === given,
        `the entries of seed ${seed + round} are handled, dead letters or deferred`,
      );
      assertPrototypes();
    }
    await until(async () => (await broker.info(Any)).groups[0]!.pending === deferred, "all entries are settled");
    const [group] = (await broker.info(Any)).groups;
    assertEquals([group!.lag, group!.deadLetters], [0, dead]);
    console.log(`${name}: ${handled} handled, ${dead} dead letters, ${deferred} deferred`);
  });
}
