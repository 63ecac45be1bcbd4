// Guarantees 15, 30: what does not answer, and does not say that it will not.

import { assertEquals, assertLess, assertRejects } from "@std/assert";
import { defineEvent, UncertainPublishError } from "@tidings/broker";
import { assertSame, settled, sleep, told, until, within } from "../../src/testing/_broker_bench.ts";
import type { ClientKind } from "../../src/redis/clients/detect.ts";
import { openBroker } from "../redis/_bench.ts";
import { Proxy } from "../redis/_proxy.ts";
import { RedisServer } from "../redis/_server.ts";
import { atOnce, byAllClients } from "./_at_once.ts";
import { insist } from "./_insist.ts";
import { testFault } from "./_seed.ts";

class Noted extends defineEvent("Noted")<{ n: number }> {}

/** How long nothing answers, in ms: longer than the five seconds and a quarter that a command may take. */
const SILENCE = 7_000;
const PUBLISH_TIMEOUT = 2_000;
/**
 * How long after that everybody goes on, in ms. A read is given up after nine seconds and a quarter, a command or a new
 * connection after five, and what was begun in the silence may end in two of them; mostly it takes six seconds.
 */
const RECOVERY = 25_000;

interface Silence {
  begin(server: RedisServer, proxy: Proxy): void;
  end(server: RedisServer, proxy: Proxy): void;
}

const blackHole: Silence = {
  // What has gone into it does not come out: the connections from before stay dead, and nobody says so.
  begin(_, proxy) {
    proxy.blackHole = true;
    proxy.swallow();
  },
  end: (_, proxy) => void (proxy.blackHole = false),
};

const freeze: Silence = {
  // What was sent to it is run when it wakes, though who sent it has given up and sent it again.
  begin: (server) => server.pause(),
  end: (server) => server.resume(),
};

async function outlast({ begin, end }: Silence, kind: ClientKind): Promise<void> {
  await using server = await RedisServer.start();
  await using proxy = new Proxy(server.port);
  const open = (publishTimeout: number) => openBroker(proxy.url, { events: [Noted], publishTimeout }, kind);
  await using patient = await open(60_000);
  await using impatient = await open(PUBLISH_TIMEOUT);
  await using idle = await open(60_000);
  const handled: string[] = [];
  const attempts: number[] = [];
  const subscription = await idle.subscribe(Noted, ({ id }, { attempt }) => {
    handled.push(id);
    attempts.push(attempt);
  }, { group: "group" });
  const mishaps = ["error", "leaselost", "recovered", "close"].map((type) => told(subscription, type));
  const reconnects = told(subscription, "reconnect");
  const events = Array.from({ length: 6 }, (_, n) => new Noted({ n }));
  await patient.publish(events[0]!);
  await impatient.publish(events[1]!);
  await settled(patient, Noted);

  const began = performance.now();
  let publishing: Promise<unknown>;
  begin(server, proxy);
  try {
    publishing = Promise.all([patient.publish(events[2]!), patient.publish(events[3]!)]);
    publishing.catch(() => {});
    await assertRejects(() => impatient.publish(events[4]!), UncertainPublishError);
    assertLess(performance.now() - began, PUBLISH_TIMEOUT + 2_000);
    await sleep(began + SILENCE - performance.now());
  } finally {
    end(server, proxy);
  }
  const ended = performance.now();
  await within(publishing, "what was published in the silence", RECOVERY);
  await insist(() => impatient.publish(events[4]!));
  await impatient.publish(events[5]!);
  await until(() => handled.length >= 6, "all are handled", RECOVERY);
  assertLess(performance.now() - ended, RECOVERY);
  await settled(patient, Noted);
  assertSame((await Array.fromAsync(patient.history(Noted))).map(({ id }) => id), events);
  assertSame(handled, events);
  assertEquals(attempts, [1, 1, 1, 1, 1, 1]);
  assertEquals(mishaps.map(({ length }) => length), [0, 0, 0, 0]);
  assertLess(reconnects.length, 10);
}

testFault("a black hole, or a server that stands still for seven seconds, holds up and doubles nothing", async () => {
  await atOnce({
    "black hole": () => byAllClients((kind) => outlast(blackHole, kind)),
    "frozen server": () => byAllClients((kind) => outlast(freeze, kind)),
  });
});
