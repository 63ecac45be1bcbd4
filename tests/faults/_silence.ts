import { assertEquals, assertLess, assertRejects } from "@std/assert";
import { defineEvent, UncertainPublishError } from "@tidings/broker";
import { assertSame, settled, sleep, told, until, within } from "../../src/testing/_broker_bench.ts";
import type { ClientKind } from "../../src/redis/clients/detect.ts";
import { openHurriedBroker } from "../redis/_hurried.ts";
import { Proxy } from "../redis/_proxy.ts";
import { RedisServer } from "../redis/_server.ts";
import { byAllClients, concurrently } from "./_concurrently.ts";
import { insist } from "./_insist.ts";

class Noted extends defineEvent("Noted")<{ n: number }> {}

// In ms. The silence is longer than the 5.25 s that a command may take.
const SILENCE = 7_000;
const PUBLISH_TIMEOUT = 2_000;

/**
 * When all events must be handled after the silence, in ms. A blocked read times out after 9.25 s, a command or a connection
 * attempt after 5 s, and two of them may follow each other. Usually it takes six seconds.
 */
const RECOVERY = 25_000;

/** A fault in which nothing replies and nothing refuses. */
interface Silence {
  begin(server: RedisServer, proxy: Proxy): void;
  end(server: RedisServer, proxy: Proxy): void;
}

const blackHole: Silence = {
  // Connections from before the silence stay dead after it, and neither end is told.
  begin(_, proxy) {
    proxy.blackHole = true;
    proxy.swallow();
  },
  end: (_, proxy) => void (proxy.blackHole = false),
};

const freeze: Silence = {
  // The server runs the commands that it received meanwhile when it goes on, though the client has sent them again.
  begin: (server) => server.pause(),
  end: (server) => server.resume(),
};

async function outlast({ begin, end }: Silence, kind: ClientKind, times: number): Promise<void> {
  await using server = await RedisServer.start();
  await using proxy = new Proxy(server.port);
  const open = (publishTimeout: number) =>
    openHurriedBroker(proxy.url, { events: [Noted], publishTimeout }, { kind, times });
  await using patient = await open(60_000);
  await using impatient = await open(PUBLISH_TIMEOUT / times);
  await using idle = await open(60_000);
  const handled: string[] = [];
  const attempts: number[] = [];
  const subscription = await idle.subscribe(Noted, ({ id }, { attempt }) => {
    handled.push(id);
    attempts.push(attempt);
  }, { group: "group" });
  const unwanted = ["error", "leaselost", "recovered", "close"].map((type) => told(subscription, type));
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
    assertLess(performance.now() - began, PUBLISH_TIMEOUT / times + 2_000);
    await sleep(began + SILENCE / times - performance.now());
  } finally {
    end(server, proxy);
  }
  const ended = performance.now();
  await within(publishing, "the publishes of the silence", RECOVERY);
  await insist(() => impatient.publish(events[4]!));
  await impatient.publish(events[5]!);
  await until(() => handled.length >= 6, "all events are handled", RECOVERY);
  assertLess(performance.now() - ended, RECOVERY);
  await settled(patient, Noted);
  assertSame((await Array.fromAsync(patient.history(Noted))).map(({ id }) => id), events);
  assertSame(handled, events);
  assertEquals(attempts, [1, 1, 1, 1, 1, 1]);
  assertEquals(unwanted.map(({ length }) => length), [0, 0, 0, 0]);
  assertLess(reconnects.length, 10);
}

/**
 * Publishes and consumes with each client while nothing replies, and asserts that each event is stored and handled once.
 *
 * @param times Divides the silence and the brokers' deadlines.
 */
export async function outlastSilence(times: number): Promise<void> {
  await concurrently({
    "black hole": () => byAllClients((kind) => outlast(blackHole, kind, times)),
    "frozen server": () => byAllClients((kind) => outlast(freeze, kind, times)),
  });
}
