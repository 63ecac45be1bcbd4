import { connect, defineEvent } from "@tidings/broker";

/** An AuctionEnded as docs/QUICK_START.md defines it. */
class AuctionEnded extends defineEvent("AuctionEnded")<{ auctionId: string; winner: string; price: number }> {}
class BidderRegistered extends defineEvent("BidderRegistered")<string> {}
class PaymentProcessed extends defineEvent("PaymentProcessed")<Record<string, string | number>> {}

/** Publishes an event of each type of the auction house, with other fields than its services expect. */
export async function publishForeign(url: string): Promise<void> {
  await using broker = await connect(url, { events: [AuctionEnded, BidderRegistered, PaymentProcessed] });
  await broker.publish(new AuctionEnded({ auctionId: "a-1", winner: "ada", price: 99.99 }));
  await broker.publish(new BidderRegistered("ben"));
  await broker.publish(new PaymentProcessed({ auctionId: "a-1", bidderId: "ada", amount: 99.99, status: "pending" }));
}
