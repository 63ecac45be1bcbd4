import { connect, defineEvent, type EventBroker, RedisBroker } from "@tidings/broker";
import { LABELS } from "../../tests/redis/_bench.ts";
import type { Place } from "../_case.ts";
import type { Detail } from "../_detail.ts";
import type { System } from "./_system.ts";

class Measured extends defineEvent("Measured")<Detail> {}

const events = [Measured];
const HOUR = 3_600_000;

type Open = (place: Place) => Promise<EventBroker<typeof Measured>>;

function scheduledSystem(label: string, open: Open, later: boolean): System {
  return {
    name: `tidings, ${label}, ${later ? "in an hour" : "at once"}`,
    publisher: async (place) => {
      const broker = await open(place);
      const publish = later
        ? (event: Measured) => broker.publish(event, { delay: HOUR })
        : (event: Measured) => broker.publish(event);
      return { send: (detail) => publish(new Measured(detail)), close: () => broker.close() };
    },
  };
}

/** Brokers that publish at once, and brokers that publish later. */
export const scheduledSystems: readonly { readonly plain: System; readonly scheduled: System }[] = ([
  [LABELS["node-redis"], ({ redis }) => RedisBroker.connect(redis, { client: "node-redis", events })],
  ["SQLite", ({ folder, run }) => connect(`sqlite:${folder}/${run}.db`, { events })],
  ["in memory", ({ run }) => connect(`memory:${run}`, { events })],
] as const satisfies readonly (readonly [string, Open])[]).map(([label, open]) => ({
  plain: scheduledSystem(label, open, false),
  scheduled: scheduledSystem(label, open, true),
}));
