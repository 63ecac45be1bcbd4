import type { Case } from "../_case.ts";
import { detailsOf } from "../_detail.ts";
import { Process } from "../_process.ts";
import type { Publisher, System } from "../systems/_system.ts";
import { ROLLING_500 } from "./publish.ts";

/** How long a PING of another client takes while this one publishes as fast as it can. */
export function pingCase(system: System, count = 100_000): Case {
  return case_(system.name, count, async (place) => await system.publisher(place), system.note);
}

/** How long a PING takes while nothing is published. */
export const IDLE_PING: Case = case_("nobody publishes", 1_000, () => Promise.resolve(undefined));

function case_(
  name: string,
  count: number,
  open: (place: Parameters<System["publisher"]>[0]) => Promise<Publisher | undefined>,
  note?: string,
): Case {
  return {
    group: "another client's PING while publishing, 500 in flight",
    name,
    count,
    ...(note !== undefined && { note }),
    setup: async (place, count) => {
      const pings = await Process.start({ do: "ping", place });
      const publisher = await open(place);
      const detail = detailsOf(190);
      return {
        run: async () => {
          await pings.tell();
          if (publisher) await ROLLING_500.run(publisher, count, detail);
          else await new Promise((resolve) => setTimeout(resolve, count));
          await pings.tell();
          const { cpu: _, ...found } = await pings.result();
          return found;
        },
        close: async () => {
          await publisher?.close();
          await pings.close();
        },
      };
    },
  };
}
