import type { Case } from "../_case.ts";
import { detailsOf } from "../_detail.ts";
import { Process } from "../_process.ts";
import { openPartitioned, partitionedSystem } from "../systems/partitions.ts";
import { Numbered } from "../systems/revisions.ts";
import { ROLLING_500 } from "./publish.ts";

const PARTITIONS = 8;
const MS = 5;
const CONCURRENCY = 10;

/** Several processes share the partitions of a stream. Measured from the first publish until all events are settled. */
export function processesCase(processes: number): Case {
  return {
    group:
      `publish and consume, ${PARTITIONS} partitions, handlers of ${MS} ms, ${CONCURRENCY} at once in each process`,
    name: processes === 1 ? "1 process" : `${processes} processes`,
    count: 10_000,
    against: processes === 1 ? [] : ["1 process"],
    setup: async (place, count) => {
      const role = { do: "share", place, partitions: PARTITIONS, ms: MS, concurrency: CONCURRENCY } as const;
      const consumers = await Promise.all(Array.from({ length: processes }, () => Process.start(role)));
      const broker = await openPartitioned(place, PARTITIONS);
      const owners = async () => {
        const [group] = (await broker.info(Numbered)).groups;
        return new Set(group?.partitions?.map(({ owner }) => owner)).size;
      };
      while (await owners() < processes) await new Promise((resolve) => setTimeout(resolve, 50));
      const publisher = await partitionedSystem(PARTITIONS).publisher(place);
      await Promise.all(consumers.map((consumer) => consumer.tell()));
      return {
        run: async () => {
          const start = performance.now();
          await ROLLING_500.run(publisher, count, detailsOf(190));
          await broker.idle({ group: "group" });
          const perSecond = count / (performance.now() - start) * 1_000;
          await Promise.all(consumers.map((consumer) => consumer.tell()));
          const results = await Promise.all(consumers.map((consumer) => consumer.result()));
          const shares = results.map(({ handled }) => handled!);
          const handled = shares.reduce((sum, share) => sum + share);
          if (handled !== count) throw new Error(`Cannot count handled events: there were ${handled} of ${count}`);
          const consumerCpu = results.reduce((sum, { cpu }) => sum + cpu!, 0) / count;
          return { perSecond, consumerCpu, busiestProcess: Math.max(...shares) / count * processes };
        },
        close: async () => {
          await Promise.all(consumers.map((consumer) => consumer.close()));
          await publisher.close();
          await broker.close();
        },
      };
    },
  };
}
