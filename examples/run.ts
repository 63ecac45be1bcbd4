/**
 * The auction house at work: four services that know only events and a broker.
 *
 *     deno run --allow-read=.tidings --allow-write=.tidings examples/run.ts
 *
 * @module
 */
import { connect } from "@tidings/broker";
import { Auction } from "./auction/auction.ts";
import { testCards } from "./auction/card_processor.ts";
import { type AuctionBroker, AuctionEnded, BidderRegistered, events } from "./auction/events.ts";
import { startNotification } from "./auction/notification.ts";
import { startPayment } from "./auction/payment.ts";
import { readable } from "./auction/readable.ts";
import { Registration } from "./auction/registration.ts";
import { shapeFault } from "./auction/shape.ts";
import { main, shown } from "./_cli.ts";
import { say } from "./_columns.ts";
import { Journal } from "./_journal.ts";
import { Outside } from "./_outside.ts";
import { deadLetters, groups, heading, streams } from "./_print.ts";

await main("run", "The auction house at work, step by step", async ({ url, signal, fail, begin }) => {
  await using broker = await connect(url, { events });
  broker.addEventListener("error", ({ error }) => fail(error));
  const journal = new Journal(broker, signal);
  const outside = new Outside(journal);

  // The four services. The first two only publish. Each of the others is a group, and each group gets every event.
  const registration = new Registration(broker, outside.tokenize);
  const auction = new Auction(broker);
  await using payment = await startPayment(broker, outside.charge);
  await using notification = await startNotification(broker, outside.sendMail);
  journal.watch(payment, notification);

  // New names in each run, so that the example can run again on the same store.
  const run = crypto.randomUUID().slice(0, 4);
  const [ada, ben, cleo] = [`ada-${run}`, `ben-${run}`, `cleo-${run}`] as const;
  const regular = await firstBidder(broker, signal);

  const sell = async (auctionId: string, ...bids: readonly [bidderId: string, amount: number][]) => {
    for (const [bidderId, amount] of bids) auction.bid(auctionId, bidderId, amount);
    await auction.end(auctionId);
  };

  begin();
  say(`Events are stored in ${shown(url)}.`);
  say(
    'Below each: what the services did with it, and its effects. "chain" is the end of the correlation id, which an ' +
      "event shares with all its effects.",
  );

  if (await journal.unsettled() > 0) {
    await journal.step(
      "0  Events from before",
      "An earlier run was interrupted, or another program published events. No event is lost. The deliveries of a " +
        "killed process come again when its lease has run out (30 s). An event whose winner never registered, or " +
        "whose fields are wrong, becomes a dead letter.",
    );
  }

  await journal.step(
    "1  Bidders register",
    "The registration service replaces the card number by a token and publishes an event. It does not know " +
      "the subscribers. Here it is notification.",
    async () => {
      await registration.register({ bidderId: ada, name: "Ada", cardNumber: testCards.good });
      await registration.register({ bidderId: ben, name: "Ben", cardNumber: testCards.declined });
    },
  );

  await journal.step(
    "2  An auction ends, and the winner pays",
    "One event, two groups: payment charges, notification congratulates. Payment then publishes an event of " +
      "its own. The broker records its cause and its chain by itself.",
    () => sell(`vase-${run}`, [ben, 90], [ada, 120]),
  );

  await journal.step(
    "3  A card is declined",
    "No handler failed: other services need to know about a declined card. So it is an event, not a retry.",
    () => sell(`clock-${run}`, [ben, 75]),
  );

  await journal.step(
    "4  An event comes before one that it needs",
    "Cleo wins before her registration arrives. Payment does not know her and throws. The broker delivers the " +
      "event again, after a longer delay each time, until payment succeeds.",
    async () => {
      await sell(`globe-${run}`, [cleo, 200]);
      await journal.until(async () => (await broker.info(AuctionEnded)).groups.some(({ retrying }) => retrying > 0));
      await registration.register({ bidderId: cleo, name: "Cleo", cardNumber: testCards.good });
    },
  );

  await journal.step(
    "5  A card is charged, and the answer is lost",
    "Payment cannot know whether the card was charged. It throws, and gets the event again. The event has the " +
      "same id, which is the idempotency key of the charge: the card is charged once.",
    async () => {
      outside.loseNextAnswer();
      await sell(`lamp-${run}`, [ada, 45.5]);
    },
  );

  await journal.step(
    "6  An event with a negative price",
    "A retry cannot help. Payment throws a PermanentError, and the event becomes a dead letter of its group. " +
      "Notification is another group, and handles the event as usual.",
    async () => {
      const broken = { auctionId: `broken-${run}`, winningBidderId: ada, winningPrice: -1 };
      await broker.publish(new AuctionEnded(broken, { source: "elsewhere" }));
    },
  );

  if (regular !== undefined) {
    const { bidderId } = regular.detail;
    await journal.step(
      "7  A bidder of an earlier run wins",
      `${bidderId} registered before this process started. Payment read all registrations at its start.`,
      () => sell(`map-${run}`, [bidderId, 30]),
    );
  }

  heading("All settled", "Nothing is unread or pending. Dead letters are kept until you redrive or discard them.");
  groups(await journal.outlast(() => streams(broker)));
  await journal.outlast(() => deadLetters(broker, 1));
});

/** The first bidder who registered, in any run. */
async function firstBidder(broker: AuctionBroker, signal: AbortSignal): Promise<BidderRegistered | undefined> {
  for await (const event of readable(broker, [BidderRegistered], { signal })) {
    if (shapeFault(event) === undefined) return event;
  }
  return undefined;
}
