// Guarantees 15, 30: a network that fails at random moments, in random ways.

import { assert, assertEquals } from "@std/assert";
import { defineEvent } from "@tidings/broker";
import { assertOrder, assertSame, settled, told, until } from "../../src/testing/_broker_bench.ts";
import { openBroker } from "../redis/_bench.ts";
import { openHurriedBroker } from "../redis/_hurried.ts";
import { RedisServer } from "../redis/_server.ts";
import { byAllClients } from "./_concurrently.ts";
import { RandomNetwork } from "./_random_network.ts";
import { Chance, testFault } from "./_seed.ts";
import { UNWANTED } from "./_witness.ts";

class Counted extends defineEvent("Counted")<{ n: number }> {}

const COUNT = 2_000;
const STRIKES = 12;
// The brokers' deadlines are a quarter of the default: a blocked read on a dead connection times out after 2.5 s.
const BOUND = 40_000;

testFault(
  "publish() and subscribe() store and handle 2,000 events once, in order, when links fail at random",
  async (chance) => {
    // Each client has random numbers of its own, so that its faults do not depend on the timing of the others.
    const seeds = Array.from({ length: 3 }, () => chance.between(0, 2 ** 31 - 1));
    await byAllClients(async (kind, index) => {
      const own = new Chance(seeds[index]!);
      await using server = await RedisServer.start();
      await using network = new RandomNetwork(server.port, 3, own);
      const open = (link: number) =>
        openHurriedBroker(network.links[link]!.url, { events: [Counted] }, { kind, times: 4 });
      await using publisher = await open(0);
      await using one = await open(1);
      await using other = await open(2);
      await using direct = await openBroker(server.url, { events: [Counted] }, kind);
      const handled: string[] = [];
      const attempts = new Set<number>();
      const handler = ({ id }: Counted, { attempt }: { readonly attempt: number }) => {
        handled.push(id);
        attempts.add(attempt);
      };
      const options = { group: "group", concurrency: 8, prefetch: 100 };
      const subscriptions = [
        await one.subscribe(Counted, handler, options),
        await other.subscribe(Counted, handler, options),
      ];
      const unwanted = subscriptions.map((subscription) => UNWANTED.map((type) => told(subscription, type)));

      const events = Array.from({ length: COUNT }, (_, n) => new Counted({ n }));
      let published = 0;
      const publishing = (async () => {
        while (published < COUNT) {
          const some = events.slice(published, published += own.between(1, 80));
          await Promise.all(some.map((event) => publisher.publish(event)));
        }
      })();
      publishing.catch(() => {});
      const silent = own.between(0, STRIKES - 1);
      try {
        for (let strike = 0; strike < STRIKES; strike++) {
          if (strike === silent) network.swallow();
          await network.strike();
        }
        await publishing;
        await until(() => new Set(handled).size === COUNT, "all events are handled", BOUND);
        await settled(direct, Counted, "group", BOUND);
        assertOrder((await Array.fromAsync(direct.history(Counted))).map(({ id }) => id), events);
        // No lease expired: nothing may be redelivered, whichever requests and replies were lost.
        assertSame(handled, events);
        assertEquals([...attempts], [1]);
        for (const some of unwanted) assertEquals(some.map(({ length }) => length), UNWANTED.map(() => 0));
        assert(network.log.length > STRIKES);
      } catch (cause) {
        const message = cause instanceof Error ? cause.message : String(cause);
        throw new Error(`${message}\nAfter ${published} were published: ${network.log.join("; ")}`, { cause });
      } finally {
        // Closing over a silent connection would time out, and reject.
        network.heal();
      }
    });
  },
);
