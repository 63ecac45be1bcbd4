/**
 * The events of the auction house. Its services share these classes and know nothing else of each other.
 *
 * @module
 */
import { defineEvent, type EventBroker } from "@tidings/broker";

/** A bidder has registered. The token stands for a card, and is masked wherever the event is printed. */
export class BidderRegistered extends defineEvent("BidderRegistered", { sensitive: ["cardToken"] })<{
  bidderId: string;
  name: string;
  cardToken: string;
}> {}

/** An auction has ended with a winner. */
export class AuctionEnded extends defineEvent("AuctionEnded")<{
  auctionId: string;
  winningBidderId: string;
  winningPrice: number;
}> {}

/** The result of a payment. */
export type PaymentStatus = "paid" | "declined";

/** A card was charged or declined. A declined card is no failure of the handler: it is published like a payment. */
export class PaymentProcessed extends defineEvent("PaymentProcessed")<{
  auctionId: string;
  bidderId: string;
  amount: number;
  status: PaymentStatus;
}> {}

/** All event classes of the auction house, causes before effects. */
export const events = [BidderRegistered, AuctionEnded, PaymentProcessed] as const;

/** An event of the auction house. Its `type` tells which. */
export type AuctionHouseEvent = InstanceType<(typeof events)[number]>;

/** The broker that the services share. */
export type AuctionBroker = EventBroker<(typeof events)[number]>;
