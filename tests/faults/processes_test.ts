// Guarantees 17, 19: processes that die, stand still and are held up, in an order that chance chooses.

import { atOnce } from "./_at_once.ts";
import { Bench } from "../processes/_bench.ts";
import { redisData, sqliteData } from "../processes/_data.ts";
import { RedisServer } from "../redis/_server.ts";
import { Mixture } from "./_mixture.ts";
import { Chance, testFault } from "./_seed.ts";

testFault(
  "consumers that are killed ten times, stopped and held up at random lose nothing, on any store",
  async (chance) => {
    // Each store's chance is its own, whatever the other's clocks do.
    const own = [chance.between(0, 2 ** 31 - 1), chance.between(0, 2 ** 31 - 1)].map((seed) => new Chance(seed));
    await atOnce({
      SQLite: async () => {
        await using bench = await Bench.open(await sqliteData());
        await new Mixture(bench, own[0]!).run();
      },
      // Twice, the server is killed along with a consumer.
      Redis: async () => {
        const server = await RedisServer.start();
        await using bench = await Bench.open(redisData(server));
        await new Mixture(bench, own[1]!, server).run();
      },
    });
  },
  Deno.build.os === "windows",
);
