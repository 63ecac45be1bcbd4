// Guarantee 34: a permanent error ends a subscription and rejects a publish at once, and says the way out.

import { assert, assertEquals, assertLess, assertMatch, assertRejects } from "@std/assert";
import { defineEvent, UncertainPublishError } from "@tidings/broker";
import { settled, told, within } from "../../src/testing/_broker_bench.ts";
import type { ClientKind } from "../../src/redis/clients/detect.ts";
import { openHurriedBroker } from "../redis/_hurried.ts";
import { RedisServer } from "../redis/_server.ts";
import { byAllClients, concurrently } from "./_concurrently.ts";
import { eventuallySucceeds } from "./_insist.ts";
import { testFault } from "./_seed.ts";

class Noted extends defineEvent("Noted")<{ n: number }> {}

const STREAM = "events:Noted";
// A blocked read gets its reply within a second, a quarter of the default; the rest is for a busy machine.
const BOUND = 10_000;

interface Disaster {
  readonly title: string;
  strike(server: RedisServer): Promise<unknown>;
  /** Undoes the disaster. */
  mend(server: RedisServer): Promise<unknown>;
  readonly says: RegExp;
  /** How many of the two stored events are still stored afterwards. */
  readonly left: number;
}

const DISASTERS: readonly Disaster[] = [
  {
    title: "the password is changed",
    async strike(server) {
      await server.cli("ACL", "SETUSER", "alice", "resetpass", ">other");
      await server.cli("CLIENT", "KILL", "USER", "alice");
    },
    mend: (server) => server.cli("ACL", "SETUSER", "alice", "resetpass", ">sesame"),
    says: /^Cannot connect to redis:\/\/127\.0\.0\.1:\d+: wrong user or password; correct them/,
    left: 2,
  },
  {
    title: "the user may run no scripts and read no groups any more",
    strike: (server) => server.cli("ACL", "SETUSER", "alice", "-eval", "-evalsha", "-xreadgroup"),
    mend: (server) => server.cli("ACL", "SETUSER", "alice", "+@all"),
    says: /^Cannot use Redis: its user lacks a permission; grant it with ACL SETUSER \(NOPERM /,
    left: 2,
  },
  {
    title: "the user may not use the stream's keys any more",
    strike: (server) => server.cli("ACL", "SETUSER", "alice", "resetkeys", "~other:*"),
    mend: (server) => server.cli("ACL", "SETUSER", "alice", "~*"),
    says: /^Cannot use Redis: its user lacks a permission; grant it with ACL SETUSER \(/,
    left: 2,
  },
  {
    title: "the stream becomes a text",
    strike: (server) => server.cli("SET", STREAM, "text"),
    mend: (server) => server.cli("DEL", STREAM),
    says:
      /^Cannot use Redis: a key has another type than expected, .* rename that key, or choose another prefix \(WRONGTYPE /,
    left: 0,
  },
];

async function meet({ strike, mend, says, left }: Disaster, kind: ClientKind): Promise<void> {
  await using server = await RedisServer.start();
  await server.cli("ACL", "SETUSER", "alice", "on", ">sesame", "~*", "&*", "+@all");
  const url = new URL(server.url.href.replace("//", "//alice:sesame@"));
  await using broker = await openHurriedBroker(url, { events: [Noted], publishTimeout: 30_000 }, { kind, times: 4 });
  const handled: string[] = [];
  const handler = ({ id }: Noted) => void handled.push(id);
  const subscription = await broker.subscribe(Noted, handler, { group: "group", drainTimeout: 100 });
  const errors = told<Event & { error: Error }>(subscription, "error");
  const events = [1, 2, 3].map((n) => new Noted({ n }));
  await broker.publish(events[0]!);
  await broker.publish(events[1]!);
  await settled(broker, Noted);

  await strike(server);
  const began = performance.now();
  const refused = await assertRejects(() => broker.publish(events[2]!), Error);
  assertLess(performance.now() - began, 2_000);
  const ended = await within(assertRejects(() => subscription.closed, Error), "the subscription's end", BOUND);
  for (const error of [refused, ended]) {
    const why = error.cause instanceof Error && !says.test(error.message) ? error.cause : error;
    assertMatch(why.message, says);
    assert(!Deno.inspect(error, { depth: 10 }).includes("sesame"));
  }
  assertEquals(errors[0]!.error, ended);

  await mend(server);
  // The broker may still be connecting with the old state.
  await eventuallySucceeds(() => broker.info(Noted));
  assertEquals((await Array.fromAsync(broker.history(Noted))).map(({ id }) => id), idsOf(events.slice(0, left)));
  // A publish that was in flight when the connection was lost stays uncertain; here the event was not stored.
  if (refused instanceof UncertainPublishError) events[2] = new Noted({ n: 4 });
  await broker.publish(events[2]!);
  await using _again = await broker.subscribe(Noted, handler, { group: "group" });
  await settled(broker, Noted);
  assertEquals(handled, idsOf(events));
}

// They mostly wait for blocked reads, and so run concurrently.
testFault(
  `subscribe() ends and publish() rejects at once, and both say the way out, when ${
    DISASTERS.map(({ title }) => title).join(", or ")
  }`,
  async () => {
    const tasks = DISASTERS.map((disaster) => [disaster.title, () => byAllClients((kind) => meet(disaster, kind))]);
    await concurrently(Object.fromEntries(tasks));
  },
);

function idsOf(events: readonly Noted[]): string[] {
  return events.map(({ id }) => id);
}
