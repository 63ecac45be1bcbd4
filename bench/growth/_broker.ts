import { type EventBroker, type Position, RedisBroker, type SubscribeOptions } from "@tidings/broker";
import type { Place } from "../_case.ts";
import { Counter } from "../cases/consume.ts";
import { type Detail, detailsOf, Measured } from "../_detail.ts";
import { rolling } from "../_load.ts";
import { microseconds } from "./_curve.ts";

export type Broker = EventBroker<typeof Measured>;

/** Opens a new broker. */
export function openBroker({ redis }: Place): Promise<Broker> {
  return RedisBroker.connect(redis, { client: "node-redis", events: [Measured] });
}

/** Publishes `count` events, 500 in flight. Returns the cost of each in µs, and the position of the first. */
export async function publishMany(broker: Broker, count: number): Promise<{ cost: number; first: Position }> {
  const detail = detailsOf(190);
  let first: Position | undefined;
  const cost = await microseconds(count, () =>
    rolling(count, 500, async (index) => {
      const position = await broker.publish(new Measured(detail(index)));
      if (index === 0) first = position;
    }));
  return { cost, first: first! };
}

/** Consumes `count` events. Returns the cost of each in µs, including the start and the end of the subscription. */
export async function consumeMany(
  broker: Broker,
  count: number,
  options: SubscribeOptions<Measured>,
): Promise<number> {
  const counter = new Counter(count);
  const cost = await microseconds(count, async () => {
    const subscription = await broker.subscribe(Measured, (event) => counter.saw(event.detail as Detail), options);
    await counter.all;
    await subscription.close();
  });
  counter.check("the published events");
  return cost;
}
