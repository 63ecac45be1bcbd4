import { type EventBroker, type Position, RedisBroker, type SubscribeOptions } from "@tidings/broker";
import type { Place } from "../_case.ts";
import { Counter } from "../cases/consume.ts";
import { type Detail, detailsOf, Measured } from "../_detail.ts";
import { rolling } from "../_load.ts";
import { microseconds } from "./_curve.ts";

export type Broker = EventBroker<typeof Measured>;

/** One more broker. */
export function openBroker({ redis }: Place): Promise<Broker> {
  return RedisBroker.connect(redis, { client: "node-redis", events: [Measured] });
}

/** Publishes so many, 500 in flight; how long each took, in µs, and where the first one is. */
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

/** Consumes so many from there on, and how long each took, in µs, from before the subscription until after its end. */
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
  counter.check("what was published");
  return cost;
}
