import fc from "fast-check";
import { assertEquals } from "@std/assert";
import { brokerContracts } from "../../../src/testing/broker_suite.ts";
import { testBroker, testEventStore, type TestFunction } from "../../../src/testing/mod.ts";
import type { TimedConnection } from "../../../src/redis/connection/_connection.ts";
import type { EventStore } from "../../../src/store/mod.ts";
import { SingleServer } from "../../../src/redis/connection/_single_server.ts";
import { RedisStore } from "../../../src/redis/redis_store.ts";
import { APPEND } from "../../../src/redis/scripts/entries/append.ts";
import { PROMOTE } from "../../../src/redis/scripts/scheduling/promote.ts";
import { CLAIM } from "../../../src/redis/scripts/consuming/claim.ts";
import { CONFIRM_READ } from "../../../src/redis/scripts/consuming/confirm_read.ts";
import { PRELUDE } from "../../../src/redis/scripts/parts/_prelude.ts";
import { commands } from "../../store/_commands.ts";
import { Run } from "../../store/_model_run.ts";
import { brokerUnderTest, openConnection, SharedServer, storeUnderTest } from "../_bench.ts";
import { withClock } from "./_clock.ts";

const server = new SharedServer();
const open = async (url: URL, now: () => number, set = now) =>
  new RedisStore(new SingleServer(withClock(await openConnection(url), now, set), url.host));

Deno.test("withClock() finds each use of the time in the scripts", () => {
  assertEquals(PRELUDE.split("redis.call('TIME')").length, 2);
  assertEquals(PRELUDE.split("keeper, 0, id, 'JUSTID'").length, 2);
  assertEquals(CLAIM.source.split("'IDLE', ARGV[8]").length, 2);
  assertEquals(CLAIM.source.split("missing, reply, state[4] or ''").length, 2);
  assertEquals(CONFIRM_READ.source.split("(is[5] or '') == ARGV[8]").length, 2);
  for (const { source } of [APPEND, PROMOTE]) assertEquals(source.split("local id = '*'").length, 2);
});

testEventStore("RedisStore by the test's clock", async () => {
  let time = 1_700_000_000_000;
  const now = () => time;
  const under = await storeUnderTest(server.keys(), (url) => open(url, now));
  return { ...under, clock: { now, advance: (ms) => time += ms } };
});

// The other contracts run with the server's clock, in node_redis_test.ts.
const needClock: TestFunction = (name, run) => {
  const contract = brokerContracts.find(({ title }) => name.endsWith(`: ${title}`));
  if (contract!.needs.includes("clock")) Deno.test(name, run);
};
testBroker("RedisStore by the test's clock", () => {
  let ahead = 0;
  const under = brokerUnderTest(server.keys(), (url) => open(url, () => Date.now() + ahead, () => ahead));
  return Promise.resolve({ ...under, clock: { advance: (ms) => void (ahead += ms) } });
}, { test: needClock });

/** Has an aborted claim resolve only once its read has ended: until then the server may still give it entries. */
function settleReads(store: EventStore, check: TimedConnection): void {
  const member = store.member.bind(store);
  store.member = async (...args) => {
    const joined = await member(...args);
    const claim = joined.claim.bind(joined);
    joined.claim = async (options) => {
      const claimed = await claim(options);
      while (!String(await check.send(["INFO", "clients"])).includes("\nblocked_clients:0"));
      return claimed;
    };
    return joined;
  };
}

Deno.test("RedisStore does the same as the model when commands come in random order", async () => {
  let check: TimedConnection | undefined;
  const property = fc.asyncProperty(commands, async (commands) => {
    await using keys = server.keys();
    check ??= await openConnection(keys.url);
    const run = await Run.open(async (now) => {
      const stores = await Promise.all([open(keys.url, now), open(keys.url, now)]);
      for (const store of stores) settleReads(store, check!);
      return stores.map((store) => keys.over(store));
    }, { expiresLate: true, readsAhead: true, sizeOf: "large" });
    try {
      await run.all(commands);
    } finally {
      await run.close();
    }
  });
  try {
    // The same seed in each run, so that a failure shows a change of the code; FAULTS_SEED sets another one.
    await fc.assert(property, { numRuns: 30, seed: Number(Deno.env.get("FAULTS_SEED") ?? 7) });
  } finally {
    check?.close();
  }
});
