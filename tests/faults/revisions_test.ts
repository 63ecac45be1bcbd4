// Guarantees 30, 41, 42: fifty writers of one subject, when links fail at random and the server is killed.

import { assert, assertEquals } from "@std/assert";
import { ConflictError, defineEvent, type EventBroker } from "@tidings/broker";
import { sleep } from "../../src/testing/_broker_bench.ts";
import { openBroker } from "../redis/_bench.ts";
import { openHurriedBroker } from "../redis/_hurried.ts";
import { RedisServer } from "../redis/_server.ts";
import { byAllClients } from "./_concurrently.ts";
import { insist, isTooLate } from "./_insist.ts";
import { RandomNetwork } from "./_random_network.ts";
import { Chance, testFault } from "./_seed.ts";

class Bid extends defineEvent("Bid", { subject: "auction" })<{ auction: string; writer: number; n: number }> {}

const events = [Bid];
const WRITERS = 50;
const BROKERS = 5;
const STRIKES = 8;
const KILLS = 2;

/**
 * Publishes arrays of two events, each by the revision that the writer knows, until `over`. Resolves with the number of stored
 * events and of conflicts.
 */
async function write(broker: EventBroker<typeof Bid>, writer: number, over: () => boolean) {
  let [n, conflicts, revision] = [0, 0, 0];
  while (n < 4 || !over()) {
    const pair = [n, n + 1].map((n) => new Bid({ auction: "lamp", writer, n }));
    try {
      await insist(() => broker.publish(pair, { expected: { subject: "lamp", revision } }), isTooLate);
      assertEquals(pair.map((event) => event.revision), [revision + 1, revision + 2]);
      revision += 2;
      n += 2;
      // Other events of the stream, which expect nothing.
      await insist(() => broker.publish(new Bid({ auction: `vase ${writer}`, writer, n })), isTooLate);
    } catch (error) {
      if (!(error instanceof ConflictError)) throw error;
      assert(error.revision > revision, error.message);
      revision = error.revision;
      conflicts++;
    }
  }
  return { n, conflicts };
}

testFault(
  "publish() with an expected revision stores each event once, without a gap, when links fail and the server is killed",
  async (chance) => {
    const seeds = Array.from({ length: 3 }, () => chance.between(0, 2 ** 31 - 1));
    await byAllClients(async (kind, index) => {
      const own = new Chance(seeds[index]!);
      await using server = await RedisServer.start();
      await using network = new RandomNetwork(server.port, BROKERS, own);
      await using opened = new AsyncDisposableStack();
      const brokers: EventBroker<typeof Bid>[] = [];
      for (const { url } of network.links) {
        const options = { events, publishTimeout: 2_000 };
        brokers.push(opened.use(await openHurriedBroker(url, options, { kind, times: 4 })));
      }
      let over = false;
      const writing = Promise.all(
        Array.from({ length: WRITERS }, (_, writer) => write(brokers[writer % BROKERS]!, writer, () => over)),
      );
      writing.catch(() => {});
      try {
        const kills = Array.from({ length: KILLS }, () => own.between(0, STRIKES - 1));
        for (let strike = 0; strike < STRIKES; strike++) {
          // Its next append is stored, and the reply is lost.
          own.pick(network.links).inject({ fault: "reply", request: /EVALSHA/ });
          await network.strike();
          if (!kills.includes(strike)) continue;
          network.log.push("the server is killed");
          await server.kill();
          await sleep(own.between(0, 300));
          await server.restart();
        }
        over = true;
        const written = await writing;
        assert(written.some(({ conflicts }) => conflicts > 0), "no writer met another");
        await using direct = await openBroker(server.url, { events }, kind);
        const lamp = await Array.fromAsync(direct.history(Bid, { subject: "lamp" }));
        const all = written.reduce((sum, { n }) => sum + n, 0);
        assertEquals(lamp.map(({ revision }) => revision), Array.from({ length: all }, (_, nth) => nth + 1));
        for (const [writer, own] of Map.groupBy(lamp, ({ detail }) => detail.writer)) {
          const { n } = written[writer]!;
          assertEquals(
            own.map(({ detail }) => detail.n),
            Array.from({ length: n }, (_, nth) => nth),
            `writer ${writer}`,
          );
        }
        const scanned = (await Array.fromAsync(direct.history(Bid))).filter(({ subject }) => subject === "lamp");
        assertEquals(scanned.map(({ id }) => id), lamp.map(({ id }) => id));
        const vase = await Array.fromAsync(direct.history(Bid, { subject: "vase 7" }));
        assertEquals(
          vase.map(({ revision }) => revision),
          Array.from({ length: written[7]!.n / 2 }, (_, nth) => nth + 1),
        );
      } catch (cause) {
        const message = cause instanceof Error ? cause.message : String(cause);
        throw new Error(`${message}\n${network.log.join("; ")}`, { cause });
      } finally {
        // Closing over a silent connection would time out, and reject.
        network.heal();
      }
    });
  },
);
