import {
  type Delivery,
  PermanentError,
  type Position,
  type SubscribeOptions,
  type Subscription,
} from "@tidings/broker";
import { type AuctionBroker, AuctionEnded, BidderRegistered, PaymentProcessed, type PaymentStatus } from "./events.ts";
import { readable } from "./readable.ts";
import { assertShape, shapeFault } from "./shape.ts";

/** Charges a card, once for each `idempotencyKey`. */
export type Charge = (
  cardToken: string,
  amount: number,
  options: { idempotencyKey: string; signal: AbortSignal; delivery: Delivery<AuctionEnded> },
) => Promise<PaymentStatus>;

/**
 * Starts the payment service, group "payment". It charges winners until its subscription is closed. Several processes may
 * run it: the group divides the events among them.
 */
export async function startPayment(
  broker: AuctionBroker,
  charge: Charge,
  options: Pick<SubscribeOptions<AuctionEnded>, "consumer" | "concurrency" | "lease"> = {},
): Promise<Subscription> {
  const cardTokens = new Map<string, string>();
  let lastRead: Position | undefined;

  // A group divides its events among processes, but each process must know all bidders. So this is no group: it reads
  // all registrations, first from the beginning and later from where it stopped.
  async function learnBidders(signal?: AbortSignal): Promise<void> {
    const range = { ...(lastRead && { after: lastRead }), ...(signal && { signal }) };
    for await (const event of readable(broker, [BidderRegistered], range)) {
      lastRead = event.position;
      if (shapeFault(event) === undefined) cardTokens.set(event.detail.bidderId, event.detail.cardToken);
    }
  }

  await learnBidders();
  return await broker.subscribe(AuctionEnded, async (event, delivery) => {
    assertShape(event);
    const { signal } = delivery;
    const { auctionId, winningBidderId: bidderId, winningPrice: amount } = event.detail;

    // A retry cannot help. A PermanentError moves the event to the dead letters at once.
    if (!(amount > 0)) throw new PermanentError(`Cannot charge for ${auctionId}: its price is ${amount}`);

    // Events of two types have no common order: the registration may come later. Any error but a PermanentError means
    // that the event is delivered again after a while.
    await learnBidders(signal);
    const cardToken = cardTokens.get(bidderId);
    if (cardToken === undefined) throw new Error(`Cannot charge ${bidderId}: not registered yet`);

    // An event may be delivered twice, for example after a crash between here and its acknowledgement. Its id is the same
    // each time, and serves as the idempotency key: the card is charged once.
    const status = await charge(cardToken, amount, { idempotencyKey: event.id, signal, delivery });

    // For the same reason the payment's id is derived from the event's id: subscribers can detect a duplicate.
    const payment = { auctionId, bidderId, amount, status };
    await broker.publish(new PaymentProcessed(payment, { id: `payment-${event.id}`, source: "payment" }), { signal });
  }, {
    ...options,
    group: "payment",
    // Shorter than the default, 1 s doubling to 60 s, so that the example ends soon.
    retry: { minTimeout: 150, maxTimeout: 2_000, jitter: 0.5 },
  });
}
