import type { Case } from "../_case.ts";
import { type Detail, detailsOf, indexOf } from "../_detail.ts";
import { paced, rolling } from "../_load.ts";
import { latencies } from "../_stats.ts";
import type { System } from "../systems/_system.ts";
import { Counter } from "./consume.ts";

const BYTES = 190;
// How many events are used to find the highest rate of publishing and handling together.
const PROBE = 10_000;

/** Events per second, or half the highest rate that this system reached in this round. */
export type Rate = number | "half its top rate";

/** The time from the call of publish to the start of the handler, in one process, at a steady rate. */
export function latencyCase(system: System, rate: Rate, seconds = 3): Case {
  return {
    group: `latency from publish to handler, at ${typeof rate === "number" ? `${rate}/s` : rate}`,
    name: system.name,
    count: seconds * 1_000,
    ...(system.note !== undefined && { note: system.note }),
    setup: async (place, ms) => {
      let handler: (detail: Detail) => void = () => {};
      const consumer = await system.consumer!(place, { concurrency: 1, handler: (detail) => handler(detail) });
      const publisher = await system.publisher(place);
      const detail = detailsOf(BYTES);
      const send = (index: number) => publisher.send(detail(index));

      const probed = new Counter(PROBE);
      handler = (detail) => probed.saw(detail);
      const start = performance.now();
      await rolling(PROBE, 500, send);
      await probed.all;
      const top = PROBE / (performance.now() - start) * 1_000;

      const perSecond = typeof rate === "number" ? rate : top / 2;
      const count = Math.ceil(perSecond * ms / 1_000);
      const counter = new Counter(count);
      const [sent, took] = [new Float64Array(count), new Float64Array(count)];
      handler = (detail) => {
        const index = indexOf(detail);
        took[index] = performance.now() - sent[index]!;
        counter.saw(detail);
      };
      return {
        run: async () => {
          await paced(count, perSecond, (index) => {
            sent[index] = performance.now();
            return send(index);
          });
          await counter.all;
          return { ...latencies([...took]), atPerSecond: perSecond };
        },
        close: async () => {
          await publisher.close();
          await consumer.close();
          counter.check(system.name);
        },
      };
    },
  };
}
