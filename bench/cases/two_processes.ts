import type { Case } from "../_case.ts";
import { Process } from "../_process.ts";
import type { System } from "../systems/_system.ts";

const BYTES = 190;

/** One process publishes, 500 in flight, while another consumes. Measured until the last handler has run. */
export function twoProcessesCase(system: System, against: readonly string[] = [], count = 50_000): Case {
  return {
    group: "publish and consume at once, two processes",
    name: system.name,
    count,
    against,
    ...(system.note !== undefined && { note: system.note }),
    setup: async (place, count) => {
      const common = { system: system.name, place, count };
      const consumer = await Process.start({ ...common, do: "consume", concurrency: 50 });
      const publisher = await Process.start({ ...common, do: "publish", bytes: BYTES });
      return {
        run: async () => {
          const start = performance.now();
          await Promise.all([consumer.tell(), publisher.tell()]);
          const [published, consumed] = await Promise.all([publisher.result(), consumer.result()]);
          const perSecond = count / (performance.now() - start) * 1_000;
          return { perSecond, publisherCpu: published.cpu! / count, consumerCpu: consumed.cpu! / count };
        },
        close: async () => {
          await publisher.close();
          await consumer.close();
        },
      };
    },
  };
}
