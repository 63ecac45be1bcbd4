// Code that the types must accept and, after @ts-expect-error, must refuse. The type check is the test.
import { connect, defineEvent, InMemoryBroker, type Position, RedisBroker } from "@tidings/broker";
import { assertEquals } from "@std/assert";
import { z } from "zod";

class AuctionEnded extends defineEvent("AuctionEnded")<{ auctionId: string; winningPrice: number }> {
  get dollars(): string {
    return `$${this.detail.winningPrice}`;
  }
}

const Bidder = z.object({
  name: z.string(),
  card: z.object({ token: z.string() }),
  age: z.coerce.number().default(18),
});

class BidderRegistered extends defineEvent("BidderRegistered", {
  version: 2,
  schema: Bidder,
  upcast: { 0: (detail) => detail, 1: (detail) => detail },
  sensitive: ["card.token"],
}) {}

class Unlisted extends defineEvent("Unlisted")<{ n: number }> {}

/** Never called, only type-checked. */
export async function allowedAndRefused(): Promise<Position[]> {
  await using broker = await connect("memory:", { events: [AuctionEnded, BidderRegistered] });
  new BidderRegistered({ name: "a", card: { token: "t" } });
  // @ts-expect-error a payload of another shape
  new AuctionEnded({ auctionId: 1, winningPrice: 2 });
  // @ts-expect-error a sensitive path that the schema does not have
  defineEvent("X", { schema: Bidder, sensitive: ["card.nope"] });
  const auction = { subject: "auction.id" } as const;
  class Begun extends defineEvent("Begun", auction)<{ auction: { id: string }; at: number }> {}
  new Begun({ auction: { id: "a" }, at: 1 }).detail.at.toFixed();
  // @ts-expect-error a subject that the detail does not have
  class Without extends defineEvent("Without", auction)<{ at: number }> {}
  // @ts-expect-error a subject that is no string
  class Numbered extends defineEvent("Numbered", { subject: "id" })<{ id: number }> {}
  defineEvent("X", { schema: Bidder, subject: "card.token" });
  // @ts-expect-error a subject that the schema does not have as a string
  defineEvent("X", { schema: Bidder, subject: "age" });
  [Without, Numbered];
  // @ts-expect-error not in events
  await broker.publish(new Unlisted({ n: 1 }));
  // @ts-expect-error not in events
  await broker.subscribe(Unlisted, () => {}, { group: "g" });
  // @ts-expect-error no group
  await broker.subscribe(AuctionEnded, () => {}, {});
  const position = await broker.publish(new AuctionEnded({ auctionId: "a", winningPrice: 1 }));
  const positions = await broker.publish([new AuctionEnded({ auctionId: "a", winningPrice: 1 })]);
  await broker.subscribe(AuctionEnded, (event, delivery) => {
    const text: string = event.dollars;
    delivery.signal.throwIfAborted();
    return text;
  }, { group: "g", key: (event) => event.detail.auctionId, startFrom: position });
  await broker.subscribe([AuctionEnded, BidderRegistered], (event) => {
    if (event.type === "AuctionEnded") event.detail.winningPrice.toFixed();
    else event.detail.age.toFixed();
    if (event instanceof AuctionEnded) event.dollars;
  }, { group: "g" });
  broker.addEventListener("AuctionEnded", (event) => event.detail.winningPrice);
  broker.addEventListener("error", (event) => event.error);
  // @ts-expect-error a type that is not in events
  broker.addEventListener("AuctionEnd", () => {});
  const listener = (event: AuctionEnded) => void event.dollars;
  broker.addEventListener("AuctionEnded", listener);
  broker.removeEventListener("AuctionEnded", listener);
  // @ts-expect-error no position
  const wrong: Position = "hello";
  void wrong;
  // @ts-expect-error misspelt
  await broker.subscribe(AuctionEnded, () => {}, { group: "g", startFrom: "begining" });
  for await (const letter of broker.deadLetters(AuctionEnded, { group: "g" })) letter.event?.dollars;
  await using memory = new InMemoryBroker({ events: [AuctionEnded] });
  await memory.publish(new AuctionEnded({ auctionId: "a", winningPrice: 1 }));
  await using redis = await RedisBroker.connect("redis://127.0.0.1", { events: [AuctionEnded] });
  (await redis.info(AuctionEnded)).groups[0]?.lag;
  for await (const event of broker.history([AuctionEnded, BidderRegistered])) {
    if (event.type === "BidderRegistered") event.detail.card.token;
  }
  for await (const delivery of broker.consume(AuctionEnded, { group: "g" })) {
    delivery.event.dollars;
    await delivery.ack();
  }
  return positions;
}

Deno.test("a schema's defaults are in the detail, as its type says", () => {
  assertEquals(new BidderRegistered({ name: "a", card: { token: "t" } }).detail.age, 18);
});
