import { type ConnectOptions, defineEvent } from "@tidings/broker";

/** A bidder offers an amount in an auction. The auction is the bid's subject, so that its bids have one order. */
export class BidPlaced extends defineEvent("BidPlaced", { stream: "Auction", subject: "auctionId" })<
  { auctionId: string; bidderId: string; amount: number }
> {}

export const PARTITIONS = 8;

/** All programs of the auction connect with the same options. */
export const options = {
  events: [BidPlaced],
  streams: { Auction: { partitions: PARTITIONS } },
  // The other examples read all their events, and here there are many: so a prefix of its own, and a limit.
  prefix: "spread",
  retention: { maxLength: 20_000 },
} satisfies ConnectOptions<typeof BidPlaced>;
