/**
 * A payment process is killed in the middle of its work, and another finishes it.
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
import { assertShared, main } from "./_cli.ts";
import { Journal } from "./_journal.ts";
import { Ledger } from "./_ledger.ts";
import type { Charged } from "./_payment_process.ts";
import { brokerPermissions, filePermissions } from "./_permissions.ts";
import { heading, table } from "./_print.ts";
import { Process } from "./_process.ts";

const LOTS = ["vase", "clock", "globe", "lamp", "map", "chair"];

await main("crash", "A process is killed, and another finishes its work", async ({ url, signal, fail, begin }) => {
  assertShared("crash", url);
  await using broker = await connect(url, { events });
  broker.addEventListener("error", ({ error }) => fail(error));
  const journal = new Journal(broker, signal);
  const payments = async () => {
    const { groups } = await broker.info(AuctionEnded);
    return groups.find(({ name }) => name === "payment")?.consumers ?? [];
  };
  if ((await payments()).some(({ alive }) => alive)) {
    throw new Error(`Cannot run crash.ts: a payment process of ${url} is at work, or was killed less than 30 s ago`);
  }

  // The card company's books, which both processes write to: it knows nothing of events.
  await using ledger = await Ledger.open(".tidings");
  const charged: Charged[] = [];
  const startPayments = (answers: number) =>
    new Process(
      "_payment_process.ts",
      [...brokerPermissions(url), ...filePermissions(ledger.path)],
      [url, ledger.path, `${answers}`],
      { signal, fail, heard: (line) => charged.push(line as Charged) },
    );
  // People are told as ever. That is not the story, so nobody prints it.
  await using _notification = await startNotification(broker, () => Promise.resolve());

  begin();
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
  console.log(`  ${bidderId} wins ${lots.join(", ")}`);

  // It gets two answers of the card company; three further cards it charges, and never learns that it did.
  await using first = startPayments(2);
  heading(
    `2  Process ${first.pid} charges cards, and is killed`,
    "SIGKILL, as when a machine loses its power: it can finish nothing, hand back nothing, tell nobody.",
  );
  let held = 0;
  await journal.until(async () => {
    held = (await payments()).find(({ name }) => name.startsWith(`payment-${first.pid}.`))?.pending ?? 0;
    return charged.length === 5 && held > 0 && held <= lots.length - 2;
  });
  await first.kill();
  const open = charged.length - 2;
  console.log(
    `  It got through with 2. ${red("Killed")} holding ${held}, with ${open} cards charged and not acknowledged.`,
  );

  await using second = startPayments(Infinity);
  heading(
    `3  Process ${second.pid} finishes the work`,
    "It shares the group. When the dead one's lease is over (2 s here, 30 s if you do not say), the broker gives what\n" +
      "that one held to this one: recovered, and still the first attempt, for no handler has failed.",
  );
  // What the process says of its last card may arrive after the broker has its acknowledgement.
  const asked = lots.length + open;
  await journal.until(async () => charged.length >= asked && await journal.unsettled() === 0);
  table([
    ["auction", "process", "consumer", "attempt", "recovered", "card"],
    ...charged.map(({ auctionId, pid, consumer, attempt, recovered, first }) => {
      return [
        auctionId,
        pid,
        consumer,
        attempt,
        recovered,
        first ? "charged" : "was charged before, nothing more taken",
      ];
    }),
  ]);

  heading(
    "4  The card company's ledger",
    "At least once: some cards were asked for twice. Each time by the same key, the event's id, so that the company\n" +
      "could tell: one entry for each auction, whoever asked.",
  );
  const entries = await ledger.entries();
  table([["auction", "amount", "process", "idempotency key"], ...entries]);
  const once = lots.every((lot) => entries.filter(([auctionId]) => auctionId === lot).length === 1);
  console.log(
    once ? green("\n  Everybody paid, and nobody paid twice.") : red("\n  Somebody paid twice, or not at all."),
  );
});
