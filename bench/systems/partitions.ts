import { RedisBroker } from "@tidings/broker";
import { LABELS } from "../../tests/redis/_bench.ts";
import type { Place } from "../_case.ts";
import { type Detail, indexOf } from "../_detail.ts";
import { Numbered } from "./revisions.ts";
import type { System } from "./_system.ts";

/** How many subjects the events have. */
export const SUBJECTS = 1_000;

// As many characters as in the details of other cases.
const subjectOf = (detail: Detail) => String(1_000 + indexOf(detail) % SUBJECTS);

/** Opens a broker over a stream with this number of partitions. */
export const openPartitioned = ({ redis }: Pick<Place, "redis">, partitions: number) => {
  const streams = partitions === 0 ? {} : { Measured: { partitions } };
  return RedisBroker.connect(redis, { client: "node-redis", events: [Numbered], streams });
};

/** The name of the system with this number of partitions, which may be 0. */
export function nameOf(partitions: number): string {
  const what = partitions === 0 ? "no partitions" : partitions === 1 ? "1 partition" : `${partitions} partitions`;
  return `tidings, ${LABELS["node-redis"]}, ${what}`;
}

/** The broker over a stream with this number of partitions. All consumers keep the order of each subject. */
export function partitionedSystem(partitions: number): System {
  return {
    name: nameOf(partitions),
    publisher: async (place) => {
      const broker = await openPartitioned(place, partitions);
      const event = (detail: Detail) => new Numbered({ ...detail, auctionId: subjectOf(detail) });
      return {
        send: (detail) => broker.publish(event(detail)),
        sendAll: (details) => broker.publish(details.map(event)),
        close: () => broker.close(),
      };
    },
    consumer: async (place, { concurrency, handler }) => {
      const broker = await openPartitioned(place, partitions);
      await broker.subscribe(Numbered, ({ detail }) => handler(detail), {
        group: "group",
        concurrency,
        key: ({ subject }) => subject!,
      });
      return broker;
    },
    unsettled: async (place) => {
      const broker = await openPartitioned(place, partitions);
      const [group] = (await broker.info(Numbered)).groups;
      await broker.close();
      return group!.pending + group!.lag;
    },
  };
}

/** One stream, and the partitions that it is compared with. */
export const partitionedSystems: readonly System[] = [0, 1, 8, 64].map(partitionedSystem);
