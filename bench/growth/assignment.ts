import { defineEvent, type EventBroker, RedisBroker, type Subscription } from "@tidings/broker";
import type { Place } from "../_case.ts";
import type { Curve } from "./_curve.ts";

class BidPlaced extends defineEvent("BidPlaced", { stream: "Auction", subject: "auctionId" })<{ auctionId: string }> {}

type Broker = EventBroker<typeof BidPlaced>;

const CONSUMERS = 16;

const open = ({ redis }: Place, partitions: number): Promise<Broker> =>
  RedisBroker.connect(redis, { client: "node-redis", events: [BidPlaced], streams: { Auction: { partitions } } });

const subscribe = (broker: Broker) => broker.subscribe(BidPlaced, () => {}, { group: "group" });

/** How long a change takes until all partitions are spread evenly again, in milliseconds. */
async function spread(partitions: number, subscriptions: Set<Subscription>, change: () => Promise<unknown>) {
  const start = performance.now();
  await change();
  for (;;) {
    const sizes = [...subscriptions].map((subscription) => subscription.info().types.length);
    const isEven = Math.max(...sizes) - Math.min(...sizes) <= 1;
    if (isEven && sizes.reduce((sum, size) => sum + size) === partitions) return performance.now() - start;
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

/** How long it takes to spread partitions over 16 consumers, each a broker in this process. */
export const assignment: Curve = {
  name: "assignment",
  title: "How long until partitions are spread over 16 consumers",
  x: "partitions",
  unit: "ms",
  sizes: [16, 64, 256],
  measure: async (place, size) => {
    const brokers = await Promise.all(Array.from({ length: CONSUMERS + 1 }, () => open(place, size)));
    const [late, ...early] = brokers as [Broker, ...Broker[]];
    const subscriptions = new Set<Subscription>();
    const start = (broker: Broker) => subscribe(broker).then((subscription) => void subscriptions.add(subscription));
    const all = await spread(size, subscriptions, () => Promise.all(early.map(start)));
    const comes = await spread(size, subscriptions, () => start(late));
    const [first] = subscriptions;
    subscriptions.delete(first!);
    const leaves = await spread(size, subscriptions, () => first!.close());
    await Promise.all(brokers.map((broker) => broker.close()));
    return { "all come at once": all, "one comes": comes, "one leaves": leaves };
  },
};
