import { RedisBroker } from "@tidings/broker";
import { subjectsKey } from "../../src/redis/_keys.ts";
import type { Case } from "../_case.ts";
import { detailsOf, STREAM } from "../_detail.ts";
import { rolling } from "../_load.ts";
import { openRaw } from "../systems/_raw_clients.ts";
import { Numbered } from "../systems/revisions.ts";

const EVENTS_OF_SUBJECT = 10;

/** The memory of the server for events whose subjects are UUIDs: of the stream for each event, of the index for each subject. */
export function subjectIndexCase(revisions: boolean): Case {
  return {
    group: `memory of the subject index, UUIDs, ${EVENTS_OF_SUBJECT} events of each subject`,
    name: revisions ? "revisions" : "a subject, no revisions",
    count: 100_000,
    once: true,
    setup: async (place, count) => {
      const control = await openRaw("node-redis", place.redis);
      const subjects = Array.from({ length: Math.ceil(count / EVENTS_OF_SUBJECT) }, () => crypto.randomUUID());
      const usage = async (key: string) => Number(await control.send(["MEMORY", "USAGE", key, "SAMPLES", "0"]));
      return {
        run: async () => {
          const streams = { Measured: { revisions } };
          const broker = await RedisBroker.connect(place.redis, { client: "node-redis", events: [Numbered], streams });
          const detail = detailsOf(190);
          await rolling(count, 500, (index) => {
            return broker.publish(new Numbered({ ...detail(index), auctionId: subjects[index % subjects.length]! }));
          });
          await broker.close();
          const bytesPerSubject = await usage(subjectsKey(STREAM)) / subjects.length;
          return { bytesPerEvent: await usage(STREAM) / count, bytesPerSubject };
        },
        close: () => Promise.resolve(control.close()),
      };
    },
  };
}
