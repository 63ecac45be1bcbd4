import { type AuctionBroker, AuctionEnded } from "./events.ts";

interface Bid {
  bidderId: string;
  amount: number;
}

/** Takes bids and announces who won. Whether and how the winner pays is not its business. */
export class Auction {
  #broker: AuctionBroker;
  #highest = new Map<string, Bid>();

  constructor(broker: AuctionBroker) {
    this.#broker = broker;
  }

  /** Takes a bid if it is higher than all before it; says whether it did. */
  bid(auctionId: string, bidderId: string, amount: number): boolean {
    if (!(amount > (this.#highest.get(auctionId)?.amount ?? 0))) return false;
    this.#highest.set(auctionId, { bidderId, amount });
    return true;
  }

  /** Ends an auction. Nobody is called: the fact is published, and whom it concerns will hear of it. */
  async end(auctionId: string): Promise<void> {
    const bid = this.#highest.get(auctionId);
    if (bid === undefined) throw new RangeError(`Cannot end auction ${auctionId}: nobody has bid`);
    await this.#broker.publish(
      new AuctionEnded({ auctionId, winningBidderId: bid.bidderId, winningPrice: bid.amount }, { source: "auction" }),
    );
    // Forgotten only now: if publishing fails, ending it can be tried again.
    this.#highest.delete(auctionId);
  }
}
