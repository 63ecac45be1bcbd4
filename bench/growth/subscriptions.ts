import { defineEvent, RedisBroker } from "@tidings/broker";
import type { Place } from "../_case.ts";
import { rolling } from "../_load.ts";
import { openRaw } from "../systems/_raw_clients.ts";
import { type Costs, type Curve, microseconds } from "./_curve.ts";

const EVENTS = 10_000;
const SIZES = [1, 10, 100, 1_000];

/** What is measured with: publishes so many to the first `types` in turn, and waits until all have been handled. */
interface Subscribed {
  publish(count: number, types: number): Promise<void>;
  /** Connections of this broker. */
  connected(): Promise<number>;
}

/** From publish to handler by the subscriptions of a process, each to a type of its own: events of one or of all. */
export const subscriptions: Curve = {
  name: "subscriptions",
  title: "An event's cost by the subscriptions of a process",
  x: "subscriptions, each to another type",
  unit: "µs per event",
  sizes: SIZES,
  measure: (place, size) =>
    withSubscriptions(place, size, async ({ publish }) => ({
      "to one of them": await microseconds(EVENTS, () => publish(EVENTS, 1)),
      "to all in turn": await microseconds(EVENTS, () => publish(EVENTS, size)),
    })),
};

/** The connections that these subscriptions need, all of one group. */
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
      // What was handled was perhaps read before the consumers had to wait for anything.
      await new Promise((resolve) => setTimeout(resolve, 500));
      return await clients() - others;
    },
  });
  control.close();
  return costs;
}
