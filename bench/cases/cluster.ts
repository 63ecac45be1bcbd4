import { parseInfo } from "../../src/redis/connection/_replies.ts";
import { RedisCluster } from "../../tests/redis/_cluster.ts";
import type { Case } from "../_case.ts";
import { detailsOf } from "../_detail.ts";
import type { System } from "../systems/_system.ts";
import { ASYNC_BY_SUBJECT, Counter, handlerOf } from "./consume.ts";
import { ROLLING_500 } from "./publish.ts";

/**
 * Publishes and then consumes on a cluster of three nodes. Figures: the processor time of all nodes for each event, and how
 * much of it the busiest node used, as a multiple of an equal share.
 */
export function clusterCase(system: System, against: readonly string[] = []): Case {
  return {
    group: "publish 190 B, 500 in flight, then consume, 50 at once: a cluster of three nodes",
    name: system.name,
    count: 30_000,
    against,
    setup: async (place, count) => {
      const cluster = await RedisCluster.start();
      const on = { ...place, redis: cluster.url };
      return {
        run: async () => {
          const before = await processorTimes(cluster);
          const start = performance.now();
          const publisher = await system.publisher(on);
          await ROLLING_500.run(publisher, count, detailsOf(190));
          await publisher.close();
          const counter = new Counter(count);
          const handler = handlerOf(() => counter, ASYNC_BY_SUBJECT);
          const consumer = await system.consumer!(on, { ...ASYNC_BY_SUBJECT, handler });
          await counter.all;
          await consumer.close();
          const perSecond = count / (performance.now() - start) * 1_000;
          counter.check(system.name);
          const used = (await processorTimes(cluster)).map((time, nth) => time - before[nth]!);
          const all = used.reduce((sum, time) => sum + time);
          return { perSecond, serverCpu: all / count, busiestNode: Math.max(...used) / all * used.length };
        },
        close: () => cluster[Symbol.asyncDispose](),
      };
    },
  };
}

/** The processor time that each node has used so far, in microseconds. */
function processorTimes({ masters }: RedisCluster): Promise<number[]> {
  return Promise.all(masters.map(async (node) => {
    const info = parseInfo(await node.cli("INFO", "cpu"));
    return (Number(info.get("used_cpu_user")) + Number(info.get("used_cpu_sys"))) * 1e6;
  }));
}
