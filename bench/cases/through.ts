import { type Case, warmUpOf } from "../_case.ts";
import { detailsOf } from "../_detail.ts";
import type { System } from "../systems/_system.ts";
import { Counter, handlerOf, type Handling } from "./consume.ts";
import { type Shape, size } from "./publish.ts";

/** Publishes and handles in one process. Measured until the last handler has run. */
export function throughCase(
  system: System,
  shape: Shape,
  handling: Handling,
  bytes: number,
  { against = [], count = shape.count }: { against?: readonly string[]; count?: number } = {},
): Case {
  return {
    group: `publish to handler in one process, ${size(bytes)}, ${handling.name}`,
    name: `${system.name}, ${shape.name}`,
    count,
    against,
    ...(system.note !== undefined && { note: system.note }),
    setup: async (place, count) => {
      const warmUp = warmUpOf(count);
      let counter = new Counter(warmUp);
      const handle = handlerOf(() => counter, handling);
      const consumer = await system.consumer!(place, { ...handling, handler: handle });
      const publisher = await system.publisher(place);
      const detail = detailsOf(bytes);
      return {
        run: async (begin) => {
          await shape.run(publisher, warmUp, detail);
          await counter.all;
          counter = new Counter(count);
          begin();
          await shape.run(publisher, count, detail);
          await counter.all;
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
