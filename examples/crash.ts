/**
 * Kills a payment process in the middle of its work. Another process finishes the work.
 *
 *     deno run --allow-read=.tidings --allow-write=.tidings --allow-run=deno examples/crash.ts
 *
 * @module
 */
import { green, red } from "@std/fmt/colors";
import { connect } from "@tidings/broker";
import { Auction } from "./auction/auction.ts";
import { CardProcessor, testCards } from "./auction/card_processor.ts";
import { AuctionEnded, events } from "./auction/events.ts";
import { startNotification } from "./auction/notification.ts";
import { Registration } from "./auction/registration.ts";
import { assertShared, main, shown } from "./_cli.ts";
import { say } from "./_columns.ts";
import { Journal } from "./_journal.ts";
import { Ledger } from "./_ledger.ts";
import type { Charged } from "./_payment_process.ts";
import { brokerPermissions, filePermissions } from "./_permissions.ts";
import { heading, table } from "./_print.ts";
import { Process } from "./_process.ts";

const LOTS = ["vase", "clock", "globe", "lamp", "map", "chair"];

await main("crash", "Kills a process, and another one finishes its work", async ({ url, signal, fail, begin }) => {
  assertShared("crash", url);
  await using broker = await connect(url, { events });
  broker.addEventListener("error", ({ error }) => fail(error));
  const journal = new Journal(broker, signal);
  const payment = async () => {
    const { length, groups } = await broker.info(AuctionEnded);
    return groups.find(({ name }) => name === "payment") ?? { consumers: [], pending: 0, lag: length };
  };
  const before = await payment();
  if (before.consumers.some(({ alive }) => alive)) {
    throw new Error(
      `Cannot run crash.ts: a payment process of ${shown(url)} is running, or was killed less than 30 s ago; ` +
        `stop it, or wait until its lease has expired`,
    );
  }

  // The ledger of the card company, which knows nothing of events. Both processes write to it.
  await using ledger = await Ledger.open(".tidings");
  const charged: Charged[] = [];
  const startPayment = (answers: number) =>
    new Process(
      "_payment_process.ts",
      [...brokerPermissions(url), ...filePermissions(ledger.path)],
      [url, ledger.path, `${answers}`],
      { signal, fail, onLine: (line) => charged.push(line as Charged) },
    );
  // Notification also runs, but its mails are not printed: this example is about payment.
  await using _notification = await startNotification(broker, () => Promise.resolve());

  begin();
  if (before.pending + before.lag > 0) {
    heading(
      "0  Events from before",
      "A payment process handles the events that an earlier run or another program left.",
    );
    await using _earlier = startPayment(Infinity);
    await journal.until(async () => {
      const { pending, lag } = await payment();
      return pending + lag === 0;
    });
  }
  // Of the following auctions alone.
  charged.length = 0;

  const run = crypto.randomUUID().slice(0, 4);
  const [bidderId, lots] = [`ada-${run}`, LOTS.map((lot) => `${lot}-${run}`)];
  heading(`1  ${lots.length} auctions end`, "No payment process is running. The events wait in their stream.");
  const processor = new CardProcessor();
  const registration = new Registration(broker, (number) => processor.tokenize(number));
  await registration.register({ bidderId, name: "Ada", cardNumber: testCards.good });
  const auction = new Auction(broker);
  for (const [index, lot] of lots.entries()) {
    auction.bid(lot, bidderId, 10 * (index + 1));
    await auction.end(lot);
  }
  say(`${bidderId} wins ${lots.join(", ")}`, "  ");

  // The card company answers its first two calls. It charges three more cards, whose answers never arrive.
  await using first = startPayment(2);
  heading(
    `2  Process ${first.pid} charges cards, and is killed`,
    "SIGKILL, as when a machine loses its power: the process can finish nothing and release nothing.",
  );
  let held = 0;
  await journal.until(async () => {
    held = (await payment()).consumers.find(({ name }) => name.startsWith(`payment-${first.pid}.`))?.pending ?? 0;
    return charged.length === 5 && held > 0 && held <= lots.length - 2;
  });
  await first.kill();
  const open = charged.length - 2;
  console.log(
    `  It finished 2. ${red("Killed")} holding ${held} deliveries, ${open} of them with a charged card.`,
  );

  await using second = startPayment(Infinity);
  heading(
    `3  Process ${second.pid} finishes the work`,
    "It is in the same group. When the lease of the killed process has run out (2 s here, 30 s by default), the broker " +
      "gives its deliveries to this one. They count as recovered, and as the first attempt: no handler has failed.",
  );
  // The last line of the process may arrive later than its acknowledgement.
  const calls = lots.length + open;
  await journal.until(async () => charged.length >= calls && await journal.unsettled() === 0);
  table([
    ["auction", "consumer", "attempt", "recovered", "card"],
    ...charged.map(({ auctionId, consumer, attempt, recovered, first }) => {
      return [
        auctionId,
        consumer,
        attempt,
        recovered,
        first ? "charged" : "was charged before",
      ];
    }),
  ]);

  heading(
    "4  The card company's ledger",
    "Delivery is at least once: some charges were requested twice. Both requests had the same idempotency key, the " +
      "event's id, so the company charged each card once: one entry for each auction.",
  );
  const entries = (await ledger.entries()).filter(([auctionId]) => lots.includes(auctionId));
  table([["auction", "amount", "process", "idempotency key"], ...entries]);
  const once = lots.every((lot) => entries.filter(([auctionId]) => auctionId === lot).length === 1);
  console.log(once ? green("\n  Each auction was paid once.") : red("\n  An auction was paid twice, or not at all."));
});
