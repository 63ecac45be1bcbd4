import { defineEvent, RedisBroker } from "@tidings/broker";
import type { Place } from "../_case.ts";
import { rolling } from "../_load.ts";
import { openRaw } from "../systems/_raw_clients.ts";
import { type Costs, type Curve, microseconds } from "./_curve.ts";

const EVENTS = 10_000;
const SIZES = [1, 10, 100, 1_000];

/** A broker with subscriptions. */
interface Subscribed {
  /** Publishes `count` events to the first `types` types in turn, and waits until all are handled. */
  publish(count: number, types: number): Promise<void>;
  /** The number of this broker's connections. */
  connected(): Promise<number>;
}

/** The cost from publish to handler, by the number of subscriptions, each to another type. */
export const subscriptions: Curve = {
  name: "subscriptions",
  title: "The cost of an event by the subscriptions of a process",
  x: "subscriptions, each to another type",
  unit: "µs per event",
  sizes: SIZES,
  measure: (place, size) =>
    withSubscriptions(place, size, async ({ publish }) => ({
      "to one of them": await microseconds(EVENTS, () => publish(EVENTS, 1)),
      "to all in turn": await microseconds(EVENTS, () => publish(EVENTS, size)),
    })),
};

/** The connections that the subscriptions need; all belong to one group. */
export const connections: Curve = {
  name: "connections",
  title: "Connections by the subscriptions of a process",
  x: "subscriptions, each to another type",
  unit: "connections",
  sizes: SIZES,
  measure: (place, size) =>
    withSubscriptions(place, size, async ({ publish, connected }) => {
      await publish(size, size);
      return { "one group": await connected() };
    }),
};

async function withSubscriptions(
  { redis }: Place,
  size: number,
  use: (subscribed: Subscribed) => Promise<Costs>,
): Promise<Costs> {
  const classes = Array.from({ length: size }, (_, i) => class extends defineEvent(`Measured${i}`)<{ n: number }> {});
  const control = await openRaw("node-redis", redis);
  const clients = async () => Number(/^connected_clients:(\d+)/m.exec(await control.send(["INFO", "clients"]))![1]);
  const others = await clients();
  await using broker = await RedisBroker.connect(redis, { client: "node-redis", events: classes });
  let [left, done] = [0, () => {}];
  const handler = () => {
    if (--left === 0) done();
  };
  for (const type of classes) await broker.subscribe(type, handler, { group: "group" });
  const costs = await use({
    publish: async (count, types) => {
      left = count;
      const all = new Promise<void>((resolve) => done = resolve);
      await rolling(count, 500, (index) => broker.publish(new classes[index % types]!({ n: index })));
      await all;
    },
    connected: async () => {
      // The events may have been read before the consumers opened their connections for blocking reads. Wait for those.
      await new Promise((resolve) => setTimeout(resolve, 500));
      return await clients() - others;
    },
  });
  control.close();
  return costs;
}
