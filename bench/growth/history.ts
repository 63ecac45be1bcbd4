import type { ReadOptions } from "@tidings/broker";
import { Measured } from "../_detail.ts";
import { median } from "../_stats.ts";
import { openBroker } from "./_broker.ts";
import type { Curve } from "./_curve.ts";
import { fillStream, positionOf } from "./_fill.ts";

const PAGE = 500;
const PAGES = 20;

/** The cost of reading a page of a stream, by the number of events before it. */
export function historyDepth(most: number): Curve {
  let filled: string | undefined;
  return {
    name: "history_depth",
    title: "The cost of a page of history by its depth",
    x: "events before the page",
    unit: `ms per page of ${PAGE}`,
    sizes: [1_000, 10_000, 100_000, 1_000_000, 10_000_000].filter((size) => size <= most),
    measure: async (place, size) => {
      if (filled !== place.run) await fillStream(place.redis, most + PAGE);
      filled = place.run;
      await using broker = await openBroker(place);
      const pages = async (options: ReadOptions) => {
        const took: number[] = [];
        for (let page = 0; page < PAGES; page++) {
          const start = performance.now();
          let read = 0;
          for await (const _ of broker.history(Measured, { ...options, limit: PAGE })) read++;
          if (read !== PAGE) throw new Error(`Cannot measure a page of ${PAGE} events: only ${read} were read`);
          took.push(performance.now() - start);
        }
        return median(took);
      };
      return {
        forwards: await pages({ after: positionOf(size) }),
        backwards: await pages({ to: positionOf(size), reverse: true }),
      };
    },
  };
}
