import { connect, defineEvent, type EventBroker, RedisBroker } from "@tidings/broker";
import { LABELS } from "../../tests/redis/_bench.ts";
import type { Place } from "../_case.ts";
import { type Detail, indexOf } from "../_detail.ts";
import type { System } from "./_system.ts";

/** The event with a subject, which is another one for each of a thousand events. */
export class Numbered extends defineEvent("Measured", { subject: "auctionId" })<Detail> {}

interface Options {
  readonly events: readonly (typeof Numbered)[];
  readonly streams: { readonly Measured: { readonly revisions: boolean } };
}

type Open = (place: Place, options: Options) => Promise<EventBroker<typeof Numbered>>;

const SUBJECTS = 1_000;

// As many characters as in the details of other cases.
const subjectOf = (detail: Detail) => String(1_000 + indexOf(detail) % SUBJECTS);

function revisedSystem(label: string, open: Open, revisions: boolean): System {
  return {
    name: `tidings, ${label}, ${revisions ? "revisions" : "a subject, no revisions"}`,
    publisher: async (place) => {
      const broker = await open(place, { events: [Numbered], streams: { Measured: { revisions } } });
      const event = (detail: Detail) => new Numbered({ ...detail, auctionId: subjectOf(detail) });
      return {
        send: (detail) => broker.publish(event(detail)),
        sendAll: (details) => broker.publish(details.map(event)),
        close: () => broker.close(),
      };
    },
  };
}

const openRedis: Open = ({ redis }, options) => RedisBroker.connect(redis, { client: "node-redis", ...options });
const openSqlite: Open = ({ folder, run }, options) => connect(`sqlite:${folder}/${run}.db`, options);
const openMemory: Open = ({ run }, options) => connect(`memory:${run}`, options);

/** Brokers whose events have subjects, without and with revisions. */
export const revisedSystems: readonly { readonly plain: System; readonly revised: System }[] = ([
  [LABELS["node-redis"], openRedis],
  ["SQLite", openSqlite],
  ["in memory", openMemory],
] as const).map(([label, open]) => ({
  plain: revisedSystem(label, open, false),
  revised: revisedSystem(label, open, true),
}));
