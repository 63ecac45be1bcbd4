// Guarantees 30, 31: the queue of publishes is bounded while the server does not reply, and accepted ones are stored once.

import { assertEquals } from "@std/assert";
import { defineEvent, PublishQueueFullError } from "@tidings/broker";
import { openBroker } from "../_bench.ts";
import { RedisServer } from "../_server.ts";

class Counted extends defineEvent("Counted")<{ n: number }> {}

const MOST = 5_000;
const counted = (count: number, from = 0) => Array.from({ length: count }, (_, i) => new Counted({ n: from + i }));

const STOPS: Readonly<Record<string, [stop: (server: RedisServer) => unknown, go: (server: RedisServer) => unknown]>> =
  {
    "is paused": [(server) => server.pause(), (server) => server.resume()],
    "is dead": [(server) => server.kill(), (server) => server.restart()],
  };

for (const [state, [stop, go]] of Object.entries(STOPS)) {
  Deno.test(`publish() rejects beyond maxQueued when the server ${state}, and stores the others once, in order`, async () => {
    await using server = await RedisServer.start();
    await using broker = await openBroker(server.url, { events: [Counted], maxQueued: MOST });
    await broker.publish(counted(10));
    await stop(server);
    const results = Promise.allSettled(counted(MOST + 100, 10).map((event) => broker.publish(event)));
    const late = counted(2, MOST + 10);
    const refusal = await broker.publish(late).catch((error) => error);
    assertEquals(refusal.name, "PublishQueueFullError");

    await go(server);
    const taken = (await results).map((result) => result.status === "fulfilled");
    assertEquals(taken, Array.from({ length: MOST + 100 }, (_, i) => i < MOST));
    for (const result of (await results).slice(MOST)) {
      assertEquals(result.status === "rejected" && result.reason instanceof PublishQueueFullError, true);
    }
    await broker.publish(late);
    const stored = await Array.fromAsync(broker.history(Counted));
    assertEquals(stored.map(({ detail }) => detail.n), Array.from({ length: MOST + 12 }, (_, n) => n));
  });
}
