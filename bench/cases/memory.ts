import type { Case } from "../_case.ts";
import { detailsOf } from "../_detail.ts";
import { rolling } from "../_load.ts";
import { openRaw, type RawConnection } from "../systems/_raw_clients.ts";
import type { System } from "../systems/_system.ts";

/** The memory that the server uses for each event, in bytes. */
export function memoryCase(system: System, bytes: number, count = 100_000): Case {
  return {
    group: `memory of the server, ${bytes} B of JSON`,
    name: system.name,
    count,
    once: true,
    setup: async (place, count) => {
      const control = await openRaw("node-redis", place.redis);
      const before = await quiet(control);
      return {
        run: async () => {
          const publisher = await system.publisher(place);
          const detail = detailsOf(bytes);
          await rolling(count, 500, (index) => publisher.send(detail(index)));
          await publisher.close();
          return { bytesPerEvent: (await quiet(control) - before) / count };
        },
        close: () => Promise.resolve(control.close()),
      };
    },
  };
}

/** The memory that the server uses, once it has released that of closed connections. */
async function quiet(control: RawConnection): Promise<number> {
  for (let last = -1;;) {
    const used = Number(/^used_memory:(\d+)/m.exec(await control.send(["INFO", "memory"]))![1]);
    if (used === last) return used;
    last = used;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}
