import type { BrokerOptions, EventBroker } from "../../../broker/mod.ts";
import { defineEvent, type DomainEvent } from "../../../events/mod.ts";
import type { BrokerBench } from "../../_broker_bench.ts";

export class Bid
  extends defineEvent("Bid", { stream: "Auction", subject: "auction" })<{ auction: string; n: number }> {}
export class Ended
  extends defineEvent("Ended", { stream: "Auction", subject: "auction" })<{ auction: string; n: number }> {}
/** Two more classes of one stream, which some tests partition. */
export class Sold extends defineEvent("Sold", { stream: "Shop", subject: "shop" })<{ shop: string; n: number }> {}
export class Returned
  extends defineEvent("Returned", { stream: "Shop", subject: "shop" })<{ shop: string; n: number }> {}
/** It has a stream of its own, and is validated asynchronously. */
export class Paid extends defineEvent("Paid", {
  subject: "auction",
  schema: {
    "~standard": {
      version: 1,
      vendor: "test",
      validate: async (value) => await Promise.resolve({ value: value as { auction: string; n: number } }),
    },
  },
}) {}
export const ALL = [Bid, Ended, Paid];

export type Auctions = EventBroker<typeof Bid | typeof Ended | typeof Paid>;
type Options = Omit<BrokerOptions<typeof Bid | typeof Ended | typeof Paid>, "events">;

export const connect = (bench: BrokerBench, options?: Options): Promise<Auctions> => bench.connect(ALL, options);
export const bid = (auction: string, n = 0) => new Bid({ auction, n });
export const sold = (shop: string) => new Sold({ shop, n: 0 });
export const revisionsOf = (events: readonly DomainEvent[]) => events.map(({ revision }) => revision);
export const upTo = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, nth) => from + nth);
export const expecting = (subject: string, revision: number | "none") => ({ expected: { subject, revision } });

export async function read(broker: Auctions, options: Parameters<Auctions["history"]>[1], events = [Bid, Ended]) {
  return await Array.fromAsync(broker.history(events as (typeof Bid | typeof Ended)[], options));
}
