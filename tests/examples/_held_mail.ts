import { connect } from "@tidings/broker";
import { type AuctionBroker, BidderRegistered, events } from "../../examples/auction/events.ts";
import { startNotification } from "../../examples/auction/notification.ts";

/** A mail that is not sent yet. */
export interface HeldMail extends AsyncDisposable {
  /** Sends the mail and closes the broker. */
  release(): Promise<void>;
}

/**
 * Holds a delivery of the group "notification" in this process. `run` and `crash` wait for it, so that a test can
 * interrupt them while they certainly run.
 */
export async function holdMail(url: string | URL): Promise<HeldMail> {
  const broker: AuctionBroker = await connect(url, { events });
  const [held, released] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  await broker.publish(new BidderRegistered({ bidderId: "dora", name: "Dora", cardToken: "tok_dora" }));
  await startNotification(broker, async () => {
    held.resolve();
    await released.promise;
  });
  await held.promise;
  const release = async () => {
    released.resolve();
    await broker.close();
  };
  return { release, [Symbol.asyncDispose]: release };
}
