// Guarantee 50: schedules go on, and publish each tick once, while links fail at random and the server is killed.

import { assert, assertEquals } from "@std/assert";
import { defineEvent, type EventBroker } from "@tidings/broker";
import { sleep, until } from "../../src/testing/_broker_bench.ts";
import { openBroker } from "../redis/_bench.ts";
import { openHurriedBroker } from "../redis/_hurried.ts";
import { RedisServer } from "../redis/_server.ts";
import { byAllClients } from "./_concurrently.ts";
import { eventuallySucceeds } from "./_insist.ts";
import { RandomNetwork } from "./_random_network.ts";
import { Chance, testFault } from "./_seed.ts";

class Ticked extends defineEvent("Ticked")<{ at: number }> {}

const events = [Ticked];
const BROKERS = 3;
const STRIKES = 6;
const KILLS = 2;

testFault("a schedule publishes each tick once when links fail and the server is killed", async (chance) => {
  const seeds = Array.from({ length: 3 }, () => chance.between(0, 2 ** 31 - 1));
  await byAllClients(async (kind, index) => {
    const own = new Chance(seeds[index]!);
    await using server = await RedisServer.start();
    await using network = new RandomNetwork(server.port, BROKERS, own);
    await using opened = new AsyncDisposableStack();
    const brokers: EventBroker<typeof Ticked>[] = [];
    for (const { url } of network.links) {
      brokers.push(opened.use(await openHurriedBroker(url, { events, publishTimeout: 2_000 }, { kind, times: 4 })));
    }
    try {
      await Promise.all(
        brokers.map((broker) =>
          broker.schedule("tick", { every: 100 }, ({ time }) => new Ticked({ at: time.getTime() }), { missed: "all" })
        ),
      );
      const kills = Array.from({ length: KILLS }, () => own.between(0, STRIKES - 1));
      for (let strike = 0; strike < STRIKES; strike++) {
        // A script is run, and its reply is lost.
        own.pick(network.links).inject({ fault: "reply", request: /EVALSHA/ });
        await network.strike();
        await sleep(own.between(0, 300));
        if (!kills.includes(strike)) continue;
        network.log.push("the server is killed");
        await server.kill();
        await sleep(own.between(0, 200));
        await server.restart();
      }
      await using reader = await openBroker(server.url, { events }, kind);
      const count = async () => (await reader.info(Ticked)).length;
      const before = await count();
      await until(async () => await count() >= before + 5, "it goes on", 30_000);
      assert(await eventuallySucceeds(() => reader.removeSchedule("tick")));
      const times = (await Array.fromAsync(reader.history(Ticked))).map(({ detail }) => detail.at);
      assertEquals(times, times.map((_, nth) => times[0]! + nth * 100));
    } catch (error) {
      throw new Error(`By ${kind}: ${network.log.join("; ")}`, { cause: error });
    }
  });
});
