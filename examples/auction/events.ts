/**
 * The facts of the auction house: all that its services know of each other.
 *
 * @module
 */
import { defineEvent, type EventBroker } from "@tidings/broker";

/** Somebody may bid from now on. The token stands for a card and is masked wherever the event is shown. */
export class BidderRegistered extends defineEvent("BidderRegistered", { sensitive: ["cardToken"] })<{
  bidderId: string;
  name: string;
  cardToken: string;
}> {}

/** An auction is over, and somebody has won it. */
export class AuctionEnded extends defineEvent("AuctionEnded")<{
  auctionId: string;
  winningBidderId: string;
  winningPrice: number;
}> {}

/** How a payment ended. */
export type PaymentStatus = "paid" | "declined";

/** A payment was tried. A declined card is a fact like any other, not a failure: others have to learn of it. */
export class PaymentProcessed extends defineEvent("PaymentProcessed")<{
  auctionId: string;
  bidderId: string;
  amount: number;
  status: PaymentStatus;
}> {}

/** Every event of the house, causes before effects. */
export const events = [BidderRegistered, AuctionEnded, PaymentProcessed] as const;

/** One event of the house; `type` tells which. */
export type AuctionHouseEvent = InstanceType<(typeof events)[number]>;

/** The broker that the services share. */
export type AuctionBroker = EventBroker<(typeof events)[number]>;
