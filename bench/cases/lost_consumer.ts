import type { Case } from "../_case.ts";
import { detailsOf } from "../_detail.ts";
import { Process } from "../_process.ts";
import type { System } from "../systems/_system.ts";
import { Counter } from "./consume.ts";

/** The time from killing a process that handles an event until a handler for that event starts in another process. */
export function lostConsumerCase(system: System, lease?: number): Case {
  return {
    group: `a consumer is killed, ${lease === undefined ? "default lease" : `lease ${lease} ms`}`,
    name: system.name,
    count: 1,
    once: true,
    slow: lease === undefined,
    setup: async (place) => {
      const counter = new Counter(1);
      const settings = { concurrency: 1, ...(lease !== undefined && { lease }) };
      const publisher = await system.publisher(place);
      await publisher.send(detailsOf(190)(0));
      const holder = await Process.start({ do: "hold", system: system.name, place, ...settings });
      const consumer = await system.consumer!(place, { ...settings, handler: (detail) => counter.saw(detail) });
      return {
        run: async () => {
          const start = performance.now();
          await holder.kill();
          await counter.all;
          return { takenOverMs: performance.now() - start };
        },
        close: async () => {
          await consumer.close();
          await publisher.close();
          await holder.close();
        },
      };
    },
  };
}
