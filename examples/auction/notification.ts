import type { Subscription } from "@tidings/broker";
import { type AuctionBroker, type AuctionHouseEvent, events } from "./events.ts";
import { assertShape } from "./shape.ts";

/** Sends a mail, once for each `idempotencyKey`. */
export type SendMail = (
  bidderId: string,
  text: string,
  options: { idempotencyKey: string; signal: AbortSignal },
) => Promise<void>;

/** Starts the notification service, group "notification". It mails bidders until its subscription is closed. */
export function startNotification(broker: AuctionBroker, sendMail: SendMail): Promise<Subscription> {
  // One subscription for all types. The group gets every event, independently of other groups.
  return broker.subscribe(events, async (event, { signal }) => {
    assertShape(event);
    const { bidderId, text } = mailFor(event);
    await sendMail(bidderId, text, { idempotencyKey: event.id, signal });
  }, { group: "notification" });
}

function mailFor(event: AuctionHouseEvent): { bidderId: string; text: string } {
  switch (event.type) {
    case "BidderRegistered":
      return { bidderId: event.detail.bidderId, text: `Welcome, ${event.detail.name}` };
    case "AuctionEnded":
      return { bidderId: event.detail.winningBidderId, text: `You have won ${event.detail.auctionId}` };
    case "PaymentProcessed": {
      const { bidderId, auctionId, amount, status } = event.detail;
      if (status === "paid") return { bidderId, text: `Thank you for ${amount.toFixed(2)}, ${auctionId} is yours` };
      return { bidderId, text: `Your card was declined, ${auctionId} is not yours yet` };
    }
  }
}
