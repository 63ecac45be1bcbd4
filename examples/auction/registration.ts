import { type AuctionBroker, BidderRegistered } from "./events.ts";

/** Returns a token for a card number. Only the card processor can use it. */
export type Tokenize = (cardNumber: string) => Promise<string>;

/** A person who wants to bid. */
export interface Applicant {
  bidderId: string;
  name: string;
  cardNumber: string;
}

/** The registration service. It only publishes, so it has no group, and it does not know the subscribers. */
export class Registration {
  #broker: AuctionBroker;
  #tokenize: Tokenize;

  constructor(broker: AuctionBroker, tokenize: Tokenize) {
    this.#broker = broker;
    this.#tokenize = tokenize;
  }

  /** Publishes a bidder with the card's token. The card number is never published: events are stored and shared. */
  async register({ bidderId, name, cardNumber }: Applicant): Promise<void> {
    const cardToken = await this.#tokenize(cardNumber);
    await this.#broker.publish(new BidderRegistered({ bidderId, name, cardToken }, { source: "registration" }));
  }
}
