import { connect, type EventBroker, RedisBroker } from "@tidings/broker";
import { LABELS } from "../../tests/redis/_bench.ts";
import type { ClientKind } from "../../src/redis/clients/detect.ts";
import type { Place } from "../_case.ts";
import { type DataKey, FieldEncryption } from "@tidings/broker/encryption";
import { Checked, CheckedLater, type Detail, Measured, Sealed } from "../_detail.ts";
import { fill } from "./raw.ts";
import type { System } from "./_system.ts";

export type Class = typeof Measured | typeof Checked | typeof CheckedLater | typeof Sealed;
export type Open = (place: Place, events: readonly Class[]) => Promise<EventBroker<Class>>;

/** The broker over Redis, with one of the clients. */
export function redisSystem(kind: ClientKind): System {
  return { ...brokerSystem(LABELS[kind], openRedis(kind)), fill };
}

// One fixed key for all processes, because the cost of encryption is measured, not that of a key store.
const key: DataKey = { id: "bench", secret: new Uint8Array(32) };
const keys = {
  current: () => Promise.resolve(key),
  find: () => Promise.resolve(key),
  rotate: () => Promise.resolve(key),
  delete: () => Promise.resolve(false),
};
const encryption = new FieldEncryption({ keys });

export function openRedis(kind: ClientKind): Open {
  return ({ redis }, events) => RedisBroker.connect(redis, { client: kind, events, encryption });
}

export const openMemory: Open = ({ run }, events) => connect(`memory:${run}`, { events, encryption });

export const openSqlite: Open = ({ folder, run }, events) => connect(`sqlite:${folder}/${run}.db`, { events });

/** The broker over an SQLite file. */
export const sqliteSystem = brokerSystem("SQLite", openSqlite);

/** The broker in memory. The publisher and the consumer are two brokers over the same store. */
export const memorySystem = brokerSystem("in memory", openMemory);

/** Brokers whose event class has a schema or an encrypted field, and the names of the plain brokers to compare with. */
export const checkedSystems: readonly { readonly plain: string; readonly checked: readonly System[] }[] = [
  { label: LABELS["node-redis"], open: openRedis("node-redis") },
  { label: "in memory", open: openMemory },
].map(({ label, open }) => ({
  plain: `tidings, ${label}`,
  checked: [
    brokerSystem(`${label}, zod`, open, Checked),
    brokerSystem(`${label}, asynchronous zod`, open, CheckedLater),
    brokerSystem(`${label}, a field encrypted`, open, Sealed),
  ],
}));

/** The broker that `open` opens. It publishes and handles events of one class. */
export function brokerSystem(label: string, open: Open, Event: Class = Measured): System {
  return {
    name: `tidings, ${label}`,
    publisher: async (place) => {
      const broker = await open(place, [Event]);
      return {
        send: (detail) => broker.publish(new Event(detail)),
        sendAll: (details) => broker.publish(details.map((detail) => new Event(detail))),
        close: () => broker.close(),
      };
    },
    consumer: async (place, { concurrency, key, lease, handler }) => {
      const broker = await open(place, [Event]);
      await broker.subscribe(Event, (event) => handler(event.detail as Detail), {
        group: "group",
        concurrency,
        ...(lease !== undefined && { lease }),
        ...(key && { key: (event) => key(event.detail as Detail) }),
      });
      return broker;
    },
    unsettled: async (place) => {
      const broker = await open(place, [Event]);
      const [group] = (await broker.info(Event)).groups;
      await broker.close();
      return group!.pending + group!.lag;
    },
  };
}
