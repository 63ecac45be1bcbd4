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
import { AuctionEnded, BidderRegistered, events } from "./auction/events.ts";
import { startNotification } from "./auction/notification.ts";
import { startPayment } from "./auction/payment.ts";
import { Registration } from "./auction/registration.ts";
import { main } from "./_cli.ts";
import { Journal } from "./_journal.ts";
import { Outside } from "./_outside.ts";
import { deadLetters, groups, heading, streams } from "./_print.ts";

await main("run", "The auction house at work, step by step", async ({ url, signal, fail, begin }) => {
  await using broker = await connect(url, { events });
  broker.addEventListener("error", ({ error }) => fail(error));
  const journal = new Journal(broker, signal);
  const outside = new Outside(journal);

  // The four services. The first two only publish; each of the others is a group, which gets every event.
  const registration = new Registration(broker, outside.tokenize);
  const auction = new Auction(broker);
  await using payment = await startPayment(broker, outside.charge);
  await using notification = await startNotification(broker, outside.sendMail);
  journal.watch(payment, notification);

  // Every run has bidders and auctions of its own, so that it can be repeated on one file.
  const run = crypto.randomUUID().slice(0, 4);
  const [ada, ben, cleo] = [`ada-${run}`, `ben-${run}`, `cleo-${run}`] as const;
  const [regular] = await Array.fromAsync(broker.history(BidderRegistered, { limit: 1, signal }));

  const sell = async (auctionId: string, ...bids: readonly [bidderId: string, amount: number][]) => {
    for (const [bidderId, amount] of bids) auction.bid(auctionId, bidderId, amount);
    await auction.end(auctionId);
  };

  begin();
  console.log(`Events are in ${url}. Under each: what was done about it, and the events that it led to.`);
  console.log(`"chain" is the end of the correlation id, the same for all that one event set off.`);

  if (await journal.unsettled() > 0) {
    await journal.step(
      "0  What an earlier run left",
      "It was cut short, and nothing is lost: the groups go on where they were, which may take until the lease\n" +
        "of a killed process runs out (30 s). A winner who never registered ends among the dead letters.",
    );
  }

  await journal.step(
    "1  Bidders register",
    "The registration service swaps the card number for a token and publishes a fact. It does not know who\n" +
      "listens: notification does.",
    async () => {
      await registration.register({ bidderId: ada, name: "Ada", cardNumber: testCards.good });
      await registration.register({ bidderId: ben, name: "Ben", cardNumber: testCards.declined });
    },
  );

  await journal.step(
    "2  An auction ends, and the winner pays",
    "One event, two groups: payment charges, notification congratulates. The payment is an event in turn,\n" +
      "caused by the first and of the same chain, though nobody passed that on.",
    () => sell(`vase-${run}`, [ben, 90], [ada, 120]),
  );

  await journal.step(
    "3  A card is declined",
    "No handler failed: a declined card is a fact that others need to know. So it is an event, never a retry.",
    () => sell(`clock-${run}`, [ben, 75]),
  );

  await journal.step(
    "4  An event comes before one that it needs",
    "Cleo wins before her registration arrives. Payment does not know her and throws: the broker keeps the\n" +
      "event and delivers it again, a little later each time, until payment succeeds.",
    async () => {
      await sell(`globe-${run}`, [cleo, 200]);
      await journal.until(async () => (await broker.info(AuctionEnded)).groups.some(({ retrying }) => retrying > 0));
      await registration.register({ bidderId: cleo, name: "Cleo", cardNumber: testCards.good });
    },
  );

  await journal.step(
    "5  A card is charged, and the answer gets lost",
    "At least once is not exactly once: payment cannot know, throws, and gets the event again. The event's id\n" +
      "is the same, and by it the card processor knows the charge: the card is charged once.",
    async () => {
      outside.loseNextAnswer();
      await sell(`lamp-${run}`, [ada, 45.5]);
    },
  );

  await journal.step(
    "6  An event that nobody can charge for",
    "A negative price: no retry will mend it. Payment throws a PermanentError, and the event goes to the dead\n" +
      "letters of that group. Notification is another group and never notices.",
    async () => {
      const broken = { auctionId: `broken-${run}`, winningBidderId: ada, winningPrice: -1 };
      await broker.publish(new AuctionEnded(broken, { source: "a stranger" }));
    },
  );

  if (regular !== undefined) {
    const { bidderId } = regular.detail;
    await journal.step(
      "7  A bidder of an earlier run wins",
      `${bidderId} registered before this process began: payment replayed the past when it started.`,
      () => sell(`map-${run}`, [bidderId, 30]),
    );
  }

  heading("All settled", "Nothing is unread or pending. Dead letters lie there until somebody redrives them.");
  groups(await journal.outlast(() => streams(broker)));
  await journal.outlast(() => deadLetters(broker, 1));
});
