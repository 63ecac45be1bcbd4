// Guarantees 30, 42, 49: events fall due while links fail at random and the server is killed.

import { assert, assertEquals } from "@std/assert";
import { defineEvent, type EventBroker } from "@tidings/broker";
import { positionTime } from "../../src/store/mod.ts";
import { sleep, until } from "../../src/testing/_broker_bench.ts";
import { openBroker } from "../redis/_bench.ts";
import { openHurriedBroker } from "../redis/_hurried.ts";
import { RedisServer } from "../redis/_server.ts";
import { byAllClients } from "./_concurrently.ts";
import { insist, isTooLate } from "./_insist.ts";
import { RandomNetwork } from "./_random_network.ts";
import { Chance, testFault } from "./_seed.ts";

class Reminder extends defineEvent("Reminder", { subject: "lot" })<{ lot: string; n: number }> {}

const events = [Reminder];
const COUNT = 1_000;
const BATCH = 20;
const BROKERS = 3;
const STRIKES = 6;
const KILLS = 2;
// All fall due while links and the server fail, in milliseconds.
const SPREAD = 1_500;

testFault(
  "each scheduled event is stored once when links fail and the server is killed while a thousand fall due",
  async (chance) => {
    const seeds = Array.from({ length: 3 }, () => chance.between(0, 2 ** 31 - 1));
    await byAllClients(async (kind, index) => {
      const own = new Chance(seeds[index]!);
      await using server = await RedisServer.start();
      await using network = new RandomNetwork(server.port, BROKERS, own);
      await using opened = new AsyncDisposableStack();
      const brokers: EventBroker<typeof Reminder>[] = [];
      for (const { url } of network.links) {
        brokers.push(
          opened.use(await openHurriedBroker(url, { events, publishTimeout: 2_000 }, { kind, times: 4 })),
        );
      }
      const reminders = Array.from({ length: COUNT }, (_, n) => new Reminder({ lot: `lot ${n % 7}`, n }));
      const start = Date.now() + 300;
      const scheduling = Promise.all(Array.from({ length: COUNT / BATCH }, async (_, nth) => {
        const batch = reminders.slice(nth * BATCH, nth * BATCH + BATCH);
        const at = new Date(start + own.between(0, SPREAD));
        await insist(() => brokers[nth % BROKERS]!.publish(batch, { at }), isTooLate);
      }));
      scheduling.catch(() => {});
      try {
        const kills = Array.from({ length: KILLS }, () => own.between(0, STRIKES - 1));
        for (let strike = 0; strike < STRIKES; strike++) {
          // A script is run, and its reply is lost.
          own.pick(network.links).inject({ fault: "reply", request: /EVALSHA/ });
          await network.strike();
          await sleep(own.between(0, 2 * SPREAD / STRIKES));
          if (!kills.includes(strike)) continue;
          network.log.push("the server is killed");
          await server.kill();
          await sleep(own.between(0, 200));
          await server.restart();
        }
        await scheduling;
        await using reader = await openBroker(server.url, { events }, kind);
        await until(async () => (await reader.info(Reminder)).scheduled.waiting === 0, "all are stored", 20_000);
        const stored = await Array.fromAsync(reader.history(Reminder));
        assertEquals(
          stored.map(({ detail }) => detail.n).sort((a, b) => a - b),
          reminders.map(({ detail }) => detail.n),
        );
        for (const { scheduledFor, position } of stored) assert(positionTime(position!) >= scheduledFor!.getTime());
        for (const [lot, own] of Map.groupBy(stored, ({ subject }) => subject)) {
          assertEquals(own.map(({ revision }) => revision), own.map((_, nth) => nth + 1), lot);
        }
      } catch (error) {
        throw new Error(`By ${kind}: ${network.log.join("; ")}`, { cause: error });
      }
    });
  },
);
