import { type AuctionBroker, BidderRegistered } from "./events.ts";

/** Swaps a card number for a token that is worth nothing to a thief; the card processor's business. */
export type Tokenize = (cardNumber: string) => Promise<string>;

/** Who wants to bid. */
export interface Applicant {
  bidderId: string;
  name: string;
  cardNumber: string;
}

/** Registers bidders. It only announces, so it has no group: it neither knows nor cares who listens. */
export class Registration {
  #broker: AuctionBroker;
  #tokenize: Tokenize;

  constructor(broker: AuctionBroker, tokenize: Tokenize) {
    this.#broker = broker;
    this.#tokenize = tokenize;
  }

  /** Announces a bidder. The card number goes no further than this: events are kept, and read by many. */
  async register({ bidderId, name, cardNumber }: Applicant): Promise<void> {
    const cardToken = await this.#tokenize(cardNumber);
    await this.#broker.publish(new BidderRegistered({ bidderId, name, cardToken }, { source: "registration" }));
  }
}
