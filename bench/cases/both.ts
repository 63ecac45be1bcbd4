import { type Case, warmUpOf } from "../_case.ts";
import { detailsOf } from "../_detail.ts";
import type { System } from "../systems/_system.ts";
import { Counter, handlerOf, type Handling } from "./consume.ts";
import { type Shape, size } from "./publish.ts";

/** Publishes, and consumes after that. Measured from the first publish until the last handler has run. */
export function bothCase(
  system: System,
  shape: Shape,
  handling: Handling,
  bytes: number,
  { against = [] }: { against?: readonly string[] } = {},
): Case {
  return {
    group: `publish ${size(bytes)}, ${shape.name}, then consume, ${handling.name}`,
    name: system.name,
    count: shape.count,
    against,
    setup: (place, count) => {
      const detail = detailsOf(bytes);
      let counter = new Counter(0);
      const run = async (count: number) => {
        counter = new Counter(count);
        const publisher = await system.publisher(place);
        await shape.run(publisher, count, detail);
        await publisher.close();
        const consumer = await system.consumer!(place, { ...handling, handler: handlerOf(() => counter, handling) });
        await counter.all;
        await consumer.close();
      };
      return Promise.resolve({
        run: async (begin) => {
          await run(warmUpOf(count));
          begin();
          await run(count);
        },
        close: () => Promise.resolve(counter.check(system.name)),
      });
    },
  };
}
