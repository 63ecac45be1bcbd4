import { type AuctionBroker, AuctionEnded } from "./events.ts";

interface Bid {
  bidderId: string;
  amount: number;
}

/** The auction service: takes bids and publishes who won. It does not know the payment service. */
export class Auction {
  #broker: AuctionBroker;
  #highest = new Map<string, Bid>();

  constructor(broker: AuctionBroker) {
    this.#broker = broker;
  }

  /** Takes a bid if it is higher than all earlier bids. @returns Whether the bid was taken. */
  bid(auctionId: string, bidderId: string, amount: number): boolean {
    if (!(amount > (this.#highest.get(auctionId)?.amount ?? 0))) return false;
    this.#highest.set(auctionId, { bidderId, amount });
    return true;
  }

  /** Ends an auction. It calls no other service: it publishes an event, which any service may handle. */
  async end(auctionId: string): Promise<void> {
    const bid = this.#highest.get(auctionId);
    if (bid === undefined) throw new RangeError(`Cannot end auction ${auctionId}: it has no bids`);
    await this.#broker.publish(
      new AuctionEnded({ auctionId, winningBidderId: bid.bidderId, winningPrice: bid.amount }, { source: "auction" }),
    );
    // Deleted only after publishing: if publishing fails, `end` can be called again.
    this.#highest.delete(auctionId);
  }
}
