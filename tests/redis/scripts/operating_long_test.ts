// Guarantees 25, 29, 31: how long commands block the server while a group has 100,000 unsettled deliveries.

import { assertEquals, assertLess } from "@std/assert";
import { defineEvent, type EventBroker, PermanentError } from "@tidings/broker";
import { groupOf, until } from "../../../src/testing/_broker_bench.ts";
import { openBroker, openStore } from "../_bench.ts";
import { RedisServer } from "../_server.ts";

class Counted extends defineEvent("Counted")<{ n: number }> {}

type Broker = EventBroker<typeof Counted>;

const COUNT = 100_000;
const LONG = 120_000;
const LATER = { minTimeout: 3_600_000, maxTimeout: 3_600_000, jitter: 0 };

async function fill(broker: Broker): Promise<void> {
  for (let at = 0; at < COUNT; at += 500) {
    await broker.publish(Array.from({ length: 500 }, (_, i) => new Counted({ n: at + i })));
  }
}

/** Has each event fail once in the group. */
async function fail(broker: Broker, error: Error): Promise<void> {
  await using _subscription = await broker.subscribe(Counted, () => {
    throw error;
  }, { group: "group", concurrency: 100, retry: LATER });
  await until(
    async () => {
      const { lag, deadLetters, retrying } = await groupOf(broker, Counted);
      return lag === 0 && deadLetters + retrying === COUNT;
    },
    "all events have failed",
    LONG,
  );
}

/** The time of the slowest command of a task, in milliseconds, by the server's slow log. */
async function longest(server: RedisServer, name: string, task: () => Promise<unknown>): Promise<number> {
  await server.cli("CONFIG", "SET", "slowlog-log-slower-than", "0");
  await server.cli("CONFIG", "SET", "slowlog-max-len", "100000");
  await server.cli("SLOWLOG", "RESET");
  const start = performance.now();
  await task();
  const took = performance.now() - start;
  const log = await server.cli("--no-raw", "SLOWLOG", "GET", "-1");
  await server.cli("CONFIG", "SET", "slowlog-log-slower-than", "-1");
  const micros = [...log.matchAll(/^ *\d*\)? *3\) \(integer\) (\d+)$/gm)].map((match) => Number(match[1]));
  const most = Math.max(...micros) / 1_000;
  console.log(`${name}: ${took.toFixed(0)} ms, the slowest command took ${most.toFixed(0)} ms`);
  return most;
}

Deno.test("redrive() never blocks the server for long when there are 100,000 dead letters", async () => {
  await using server = await RedisServer.start();
  await using broker = await openBroker(server.url, { events: [Counted] });
  await fill(broker);
  await fail(broker, new PermanentError("never"));
  const redriving = async () => assertEquals(await broker.redrive(Counted, { group: "group" }), COUNT);
  assertLess(await longest(server, `redrive() of ${COUNT} letters`, redriving), 250);
  const { pending, deadLetters } = await groupOf(broker, Counted);
  assertEquals({ pending, deadLetters }, { pending: COUNT, deadLetters: 0 });
});

Deno.test("discard() never blocks the server for long when there are 100,000 dead letters", async () => {
  await using server = await RedisServer.start();
  await using broker = await openBroker(server.url, { events: [Counted] });
  await fill(broker);
  await fail(broker, new PermanentError("never"));
  await using store = await openStore(server.url);
  const box = store.admin("events:Counted").deadLetters("group");
  const discarding = async () => assertEquals(await box.discard({ maxLength: 10 }), COUNT - 10);
  assertLess(await longest(server, `discard() of ${COUNT} letters`, discarding), 250);
});

Deno.test("rewind() drops 100,000 retries in one step, and info() is fast when they wait", async () => {
  await using server = await RedisServer.start();
  await using broker = await openBroker(server.url, { events: [Counted] });
  await fill(broker);
  await fail(broker, new Error("not now"));
  assertLess(await longest(server, `info() with ${COUNT} waiting retries`, () => broker.info(Counted)), 250);
  const rewinding = async () => {
    const { dropped } = await broker.rewind(Counted, { group: "group", to: "beginning" });
    assertEquals(dropped, COUNT);
  };
  // One script drops all: some µs for each delivery, while the server runs nothing else.
  assertLess(await longest(server, `rewind() over ${COUNT} waiting retries`, rewinding), 4_000);
  assertEquals((await groupOf(broker, Counted)).pending, 0);
});

Deno.test("rewind() and info() block the server for seconds at most when the entries of 100,000 redriven letters are gone", async () => {
  await using server = await RedisServer.start();
  await using broker = await openBroker(server.url, { events: [Counted] });
  await fill(broker);
  await fail(broker, new PermanentError("never"));
  await using store = await openStore(server.url);
  assertEquals((await store.admin("events:Counted").trim({ maxLength: 0, force: true })).removed, COUNT);
  const redriving = async () => assertEquals(await broker.redrive(Counted, { group: "group" }), COUNT);
  assertLess(await longest(server, `redrive() of ${COUNT} letters of removed entries`, redriving), 250);
  assertLess(await longest(server, `info() with ${COUNT} of them`, () => broker.info(Counted)), 2_000);
  const rewinding = async () => {
    const { dropped } = await broker.rewind(Counted, { group: "group", to: "beginning" });
    assertEquals(dropped, COUNT);
  };
  assertLess(await longest(server, `rewind() over ${COUNT} of them`, rewinding), 4_000);
});
