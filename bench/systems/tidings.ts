import { connect, type EventBroker, RedisBroker } from "@tidings/broker";
import { LABELS } from "../../tests/redis/_bench.ts";
import type { ClientKind } from "../../src/redis/clients/detect.ts";
import type { Place } from "../_case.ts";
import { type Detail, Measured } from "../_detail.ts";
import { fill } from "./raw.ts";
import type { System } from "./_system.ts";

type Open = (place: Place) => Promise<EventBroker<typeof Measured>>;

/** The broker over Redis by one of its clients. */
export function redisSystem(kind: ClientKind): System {
  const open: Open = ({ redis }) => RedisBroker.connectWith(kind, redis, { events: [Measured] });
  return { ...brokerSystem(LABELS[kind], open), fill };
}

/** The broker over an SQLite file. */
export const sqliteSystem = brokerSystem("SQLite", ({ folder, run }) => {
  return connect(`sqlite:${folder}/${run}.db`, { events: [Measured] });
});

/** The broker in memory: publisher and consumer are two brokers over the same. */
export const memorySystem = brokerSystem("in memory", ({ run }) => connect(`memory:${run}`, { events: [Measured] }));

function brokerSystem(label: string, open: Open): System {
  return {
    name: `tidings, ${label}`,
    publisher: async (place) => {
      const broker = await open(place);
      return {
        send: (detail) => broker.publish(new Measured(detail)),
        sendAll: (details) => broker.publish(details.map((detail) => new Measured(detail))),
        close: () => broker.close(),
      };
    },
    consumer: async (place, { concurrency, key, lease, handler }) => {
      const broker = await open(place);
      await broker.subscribe(Measured, (event) => handler(event.detail as Detail), {
        group: "group",
        concurrency,
        ...(lease !== undefined && { lease }),
        ...(key && { key: (event: Measured) => key(event.detail as Detail) }),
      });
      return broker;
    },
    unsettled: async (place) => {
      const broker = await open(place);
      const [group] = (await broker.info(Measured)).groups;
      await broker.close();
      return group!.pending + group!.lag;
    },
  };
}
