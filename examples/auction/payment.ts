import {
  type Delivery,
  PermanentError,
  type Position,
  type SubscribeOptions,
  type Subscription,
} from "@tidings/broker";
import { type AuctionBroker, AuctionEnded, BidderRegistered, PaymentProcessed, type PaymentStatus } from "./events.ts";

/** Charges a card; charges it once for one `idempotencyKey`, however often it is called. */
export type Charge = (
  cardToken: string,
  amount: number,
  options: { idempotencyKey: string; signal: AbortSignal; delivery: Delivery<AuctionEnded> },
) => Promise<PaymentStatus>;

/**
 * Starts the service that has winners pay: group "payment", in as many processes as there are. Close what it returns to
 * stop it.
 */
export async function startPayment(
  broker: AuctionBroker,
  charge: Charge,
  options: Pick<SubscribeOptions<AuctionEnded>, "consumer" | "concurrency" | "lease"> = {},
): Promise<Subscription> {
  const cardTokens = new Map<string, string>();
  let learntUpTo: Position | undefined;

  // A group divides its events among processes, but each of them has to know every bidder, old ones included: so no
  // group, but a replay, at first from the beginning and then from where the last one ended.
  async function learnBidders(signal?: AbortSignal): Promise<void> {
    await broker.replay(BidderRegistered, (event) => {
      cardTokens.set(event.detail.bidderId, event.detail.cardToken);
      learntUpTo = event.position;
    }, { ...(learntUpTo && { after: learntUpTo }), ...(signal && { signal }) });
  }

  await learnBidders();
  return await broker.subscribe(AuctionEnded, async (event, delivery) => {
    const { signal } = delivery;
    const { auctionId, winningBidderId: bidderId, winningPrice: amount } = event.detail;

    // No retry will mend this: straight to the dead letters, where a person can look at it.
    if (!(amount > 0)) throw new PermanentError(`Cannot charge for ${auctionId}: its price is ${amount}`);

    // Events of two types come in no order. Who is unknown now may be known soon, so this is worth a retry.
    await learnBidders(signal);
    const cardToken = cardTokens.get(bidderId);
    if (cardToken === undefined) throw new Error(`Cannot charge ${bidderId}: not registered yet`);

    // An event may come twice, for example after a crash between here and its acknowledgement. Its id is the same each
    // time: by it the processor knows that it has charged already.
    const status = await charge(cardToken, amount, { idempotencyKey: event.id, signal, delivery });

    // For the same reason the payment's own id follows from the event's: whoever hears of it twice can tell.
    const payment = { auctionId, bidderId, amount, status };
    await broker.publish(new PaymentProcessed(payment, { id: `payment-${event.id}`, source: "payment" }), { signal });
  }, {
    ...options,
    group: "payment",
    // Shorter than the default of 1 s, doubling up to 60 s: nobody likes to wait for an example.
    retry: { minTimeout: 150, maxTimeout: 2_000, jitter: 0.5 },
  });
}
