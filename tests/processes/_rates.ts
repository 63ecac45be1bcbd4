import { assert } from "@std/assert";
import { assertSame, idsOf, type ProcessContract } from "./_bench.ts";
import { Counted } from "./_counted.ts";
import { until } from "./_processes.ts";

const SECONDS = 3;
const RATE = { limit: 200, per: 1_000 };

/** Processes whose group has a rate. */
export const rates: readonly ProcessContract[] = [
  {
    numbers: [52],
    title: "rate limits the starts of three processes together, without bursts",
    async body(bench) {
      const role = { name: "consume", group: "group", concurrency: 20, prefetch: 40, rate: RATE } as const;
      const processes = [1, 2, 3].map(() => bench.start(role));
      await Promise.all(processes.map((process) => process.wait("ready")));
      const total = RATE.limit * SECONDS;
      for (let from = 0; from < total; from += 100) await bench.publish(100, from);
      const starts = () => processes.flatMap((process) => process.said("started").map(({ at }) => at!));
      await until(() => starts().length >= total, () => `${total} events are handled: ${starts().length} are`);
      await bench.settled();
      const sorted = starts().sort((a, b) => a - b);
      // A process that was stopped for a moment may use what it has reserved late.
      for (const [first, from] of sorted.entries()) {
        const last = sorted.findLastIndex((at) => at < from + RATE.per);
        const most = RATE.limit * 1.02 + 12;
        assert(last - first + 1 <= most, `${last - first + 1} starts within ${RATE.per} ms`);
      }
      const events = await Array.fromAsync(bench.broker.history(Counted));
      assertSame(processes.flatMap((process) => process.ids("started")), idsOf(events));
      await Promise.all(processes.map((process) => process.end()));
    },
  },
];
