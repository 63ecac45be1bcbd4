import { assert, assertEquals, assertRejects } from "@std/assert";
import { connect, InMemoryBroker, type Subscription } from "@tidings/broker";
import { Auction } from "../../examples/auction/auction.ts";
import { CardProcessor, testCards } from "../../examples/auction/card_processor.ts";
import {
  type AuctionBroker,
  AuctionEnded,
  BidderRegistered,
  events,
  PaymentProcessed,
} from "../../examples/auction/events.ts";
import { startNotification } from "../../examples/auction/notification.ts";
import { type Charge, startPayment } from "../../examples/auction/payment.ts";
import { Registration } from "../../examples/auction/registration.ts";
import { publishForeign } from "./_foreign.ts";

const makeBroker = (): AuctionBroker => new InMemoryBroker({ events });
const ada = { bidderId: "ada", name: "Ada", cardNumber: testCards.good };
const vase = () => new AuctionEnded({ auctionId: "vase", winningBidderId: "ada", winningPrice: 120 });

/** Charges through a card processor, and counts the calls and the money that they took. */
function till(processor = new CardProcessor()): { charge: Charge; calls: number; taken: number } {
  const till = {
    calls: 0,
    taken: 0,
    charge: (async (cardToken, amount, { idempotencyKey }) => {
      const { status, repeated } = await processor.charge(cardToken, amount, idempotencyKey);
      till.calls++;
      if (status === "paid" && !repeated) till.taken += amount;
      return status;
    }) satisfies Charge,
  };
  return till;
}

/** Waits for the first payments of the stream. */
async function payments(broker: AuctionBroker, count: number): Promise<PaymentProcessed[]> {
  return await Array.fromAsync(broker.history(PaymentProcessed, { follow: true, limit: count }));
}

function next(subscription: Subscription, type: "retry" | "deadletter"): Promise<{ error: unknown }> {
  return new Promise((resolve) => subscription.addEventListener(type, resolve as () => void, { once: true }));
}

Deno.test("payment throws for an unknown bidder, and charges after the registration", async () => {
  await using broker = makeBroker();
  const { charge } = till();
  const registration = new Registration(broker, (number) => new CardProcessor().tokenize(number));
  await using payment = await startPayment(broker, charge);
  const retried = next(payment, "retry");
  await broker.publish(vase());
  assertEquals(String((await retried).error), "Error: Cannot charge ada: not registered yet");
  await registration.register(ada);
  const [paid] = await payments(broker, 1);
  assertEquals(paid?.detail, { auctionId: "vase", bidderId: "ada", amount: 120, status: "paid" });
});

Deno.test("payment takes the money once when an event is delivered twice", async () => {
  await using broker = makeBroker();
  const desk = till();
  await new Registration(broker, (number) => new CardProcessor().tokenize(number)).register(ada);
  await using _payment = await startPayment(broker, desk.charge);
  await broker.publish(vase());
  await payments(broker, 1);
  await broker.rewind(AuctionEnded, { group: "payment", to: "beginning" });
  const [first, second] = await payments(broker, 2);
  assertEquals([desk.calls, desk.taken], [2, 120]);
  assertEquals(first?.id, second?.id);
});

Deno.test("payment takes the money once when the processor's answer is lost", async () => {
  await using broker = makeBroker();
  const desk = till();
  await new Registration(broker, (number) => new CardProcessor().tokenize(number)).register(ada);
  await using _payment = await startPayment(broker, async (...args) => {
    const status = await desk.charge(...args);
    if (desk.calls === 1) throw new Error("connection lost");
    return status;
  });
  await broker.publish(vase());
  assertEquals((await payments(broker, 1))[0]?.detail.status, "paid");
  assertEquals([desk.calls, desk.taken], [2, 120]);
});

Deno.test("payment publishes declined cards, and no attempt fails", async () => {
  await using broker = makeBroker();
  const desk = till();
  const registration = new Registration(broker, (number) => new CardProcessor().tokenize(number));
  await using payment = await startPayment(broker, desk.charge);
  let failures = 0;
  payment.addEventListener("retry", () => failures++);
  for (const cardNumber of [testCards.declined, testCards.insufficientFunds, testCards.declined]) {
    await registration.register({ ...ada, cardNumber });
    await broker.publish(vase());
  }
  const statuses = (await payments(broker, 3)).map(({ detail }) => detail.status);
  assertEquals([statuses, desk.taken, failures], [["declined", "declined", "declined"], 0, 0]);
});

Deno.test("payment makes an event with a negative price a dead letter in its first attempt", async () => {
  await using broker = makeBroker();
  const desk = till();
  await using payment = await startPayment(broker, desk.charge);
  const given = next(payment, "deadletter");
  await broker.publish(new AuctionEnded({ auctionId: "vase", winningBidderId: "ada", winningPrice: -1 }));
  await given;
  const [letter] = await Array.fromAsync(broker.deadLetters(AuctionEnded, { group: "payment" }));
  assertEquals([letter?.reason, letter?.attempts], ["permanent", 1]);
  assertEquals(desk.calls, 0);
});

Deno.test("services make dead letters of events that another program published with other fields", async () => {
  const url = `memory:${crypto.randomUUID()}`;
  await using broker: AuctionBroker = await connect(url, { events });
  await new Registration(broker, (number) => new CardProcessor().tokenize(number)).register(ada);
  await publishForeign(url);
  const desk = till();
  const mails: string[] = [];
  await using _payment = await startPayment(broker, desk.charge);
  await using _notification = await startNotification(broker, (_bidderId, text) => {
    mails.push(text);
    return Promise.resolve();
  });
  await broker.publish(vase());
  assertEquals((await payments(broker, 2))[1]?.detail.status, "paid");
  await broker.idle();

  const [foreign] = await Array.fromAsync(broker.history(AuctionEnded));
  for (const group of ["payment", "notification"]) {
    const [letter, ...others] = await Array.fromAsync(broker.deadLetters(AuctionEnded, { group }));
    assertEquals([letter?.reason, letter?.attempts, others], ["permanent", 1, []]);
    assertEquals(
      letter?.error.message,
      `Cannot handle AuctionEnded at ${foreign?.position}: its winningBidderId is missing, not a string ` +
        `(fields found: auctionId, winner, price); another program published it: give its events another type or another prefix`,
    );
  }
  for (const type of [BidderRegistered, PaymentProcessed]) {
    const letters = await Array.fromAsync(broker.deadLetters(type, { group: "notification" }));
    assertEquals(letters.map(({ reason, attempts }) => [reason, attempts]), [["permanent", 1]]);
  }
  assertEquals([desk.calls, desk.taken], [1, 120]);
  assertEquals(mails.sort(), ["Thank you for 120.00, vase is yours", "Welcome, Ada", "You have won vase"]);
});

Deno.test("payment knows bidders who registered before it started, and their newest cards", async () => {
  const url = `memory:${crypto.randomUUID()}`;
  await using first: AuctionBroker = await connect(url, { events });
  const registration = new Registration(first, (number) => new CardProcessor().tokenize(number));
  await registration.register({ ...ada, cardNumber: testCards.declined });
  const earlier = await startPayment(first, till().charge);
  await earlier.close();

  await using second: AuctionBroker = await connect(url, { events });
  await using payment = await startPayment(second, till().charge);
  payment.addEventListener("retry", ({ error }) => reportError(error));
  await second.publish(vase());
  assertEquals((await payments(second, 1))[0]?.detail.status, "declined");
  await registration.register(ada);
  await second.publish(vase());
  assertEquals((await payments(second, 2))[1]?.detail.status, "paid");
});

Deno.test("payment publishes events with the correlation and causation of their cause", async () => {
  await using broker = makeBroker();
  await new Registration(broker, (number) => new CardProcessor().tokenize(number)).register(ada);
  await using _payment = await startPayment(broker, till().charge);
  const ended = vase();
  await broker.publish(ended);
  const [paid] = await payments(broker, 1);
  assertEquals([paid?.causationId, paid?.correlationId, paid?.source], [ended.id, ended.id, "payment"]);
});

Deno.test("registration publishes a token, which is masked, and no card number", async () => {
  await using broker = makeBroker();
  const processor = new CardProcessor();
  const registration = new Registration(broker, (number) => processor.tokenize(number));
  await registration.register(ada);
  const [event] = await Array.fromAsync(broker.history(BidderRegistered));
  assertEquals(event?.detail.cardToken, await new CardProcessor().tokenize("4242424242424242"));
  for (const shown of [JSON.stringify(event), Deno.inspect(event)]) {
    assert(!shown.includes(event!.detail.cardToken) && !shown.includes("4242"));
  }
  const error = await assertRejects(() => registration.register({ ...ada, cardNumber: "4242 4242 oops" }), TypeError);
  assert(!Deno.inspect(error).includes("4242 4242"));
  assertEquals((await broker.info(BidderRegistered)).length, 1);
});

Deno.test("auction takes only higher bids, and publishes the highest", async () => {
  await using broker = makeBroker();
  const auction = new Auction(broker);
  await assertRejects(() => auction.end("vase"), RangeError, "it has no bids");
  assertEquals([90, 120, 120, 0, NaN].map((amount, n) => auction.bid("vase", `bidder-${n}`, amount)), [
    true,
    true,
    false,
    false,
    false,
  ]);
  await auction.end("vase");
  const [ended] = await Array.fromAsync(broker.history(AuctionEnded));
  assertEquals(ended?.detail, { auctionId: "vase", winningBidderId: "bidder-1", winningPrice: 120 });
  await assertRejects(() => auction.end("vase"), RangeError);
});

Deno.test("notification mails the bidder of each event, with one key for each event", async () => {
  await using broker = makeBroker();
  const mails = new Map<string, string>();
  const all = Promise.withResolvers<void>();
  await using _notification = await startNotification(broker, (bidderId, text, { idempotencyKey }) => {
    mails.set(idempotencyKey, `${bidderId}: ${text}`);
    if (mails.size === 4) all.resolve();
    return Promise.resolve();
  });
  const payment = { auctionId: "vase", bidderId: "ada", amount: 120 };
  const published = [
    new BidderRegistered({ bidderId: "ada", name: "Ada", cardToken: "tok_1" }),
    vase(),
    new PaymentProcessed({ ...payment, status: "paid" }),
    new PaymentProcessed({ ...payment, status: "declined" }),
  ];
  for (const event of published) await broker.publish(event);
  await all.promise;
  assertEquals(published.map(({ id }) => mails.get(id)), [
    "ada: Welcome, Ada",
    "ada: You have won vase",
    "ada: Thank you for 120.00, vase is yours",
    "ada: Your card was declined, vase is not yours yet",
  ]);
});
