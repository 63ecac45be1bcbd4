import { assertEquals, assertThrows } from "@std/assert";
import { PermanentError } from "@tidings/broker";
import { AuctionEnded, BidderRegistered, PaymentProcessed } from "../../examples/auction/events.ts";
import { assertShape, shapeFault } from "../../examples/auction/shape.ts";

const ended = (detail: unknown) => new AuctionEnded(detail as AuctionEnded["detail"]);
const payment = { auctionId: "vase", bidderId: "ada", amount: 120, status: "paid" } as const;

Deno.test("shapeFault() is undefined for events with the right fields, and for additional fields", () => {
  const vase = { auctionId: "vase", winningBidderId: "ada", winningPrice: 120 };
  const right = [
    ended(vase),
    ended({ ...vase, currency: "EUR" }),
    new BidderRegistered({ bidderId: "ada", name: "Ada", cardToken: "tok_1" }),
    new PaymentProcessed(payment),
    new PaymentProcessed({ ...payment, status: "declined" }),
  ];
  for (const event of right) {
    assertEquals(shapeFault(event), undefined);
    assertShape(event);
  }
});

Deno.test("shapeFault() names the wrong field, its type and the fields that the event has", () => {
  const cases: [detail: unknown, fault: string][] = [
    [
      { auctionId: "a", winner: "ada", price: 5 },
      "its winningBidderId is missing, not a string (fields found: auctionId, winner, price)",
    ],
    [{}, "its auctionId is missing, not a string (fields found: none)"],
    [{ auctionId: null }, "its auctionId is null, not a string (fields found: auctionId)"],
    [{ auctionId: ["a"] }, "its auctionId is an array, not a string (fields found: auctionId)"],
    [{ auctionId: {} }, "its auctionId is an object, not a string (fields found: auctionId)"],
    [
      { auctionId: "a", winningBidderId: "ada", winningPrice: "5" },
      "its winningPrice is a string, not a finite number (fields found: auctionId, winningBidderId, winningPrice)",
    ],
    [
      { auctionId: "a", winningBidderId: "ada", winningPrice: Infinity },
      "its winningPrice is Infinity, not a finite number (fields found: auctionId, winningBidderId, winningPrice)",
    ],
    ["sold", "its detail is a string, not an object"],
    [null, "its detail is null, not an object"],
    [[1], "its detail is an array, not an object"],
  ];
  for (const [detail, fault] of cases) assertEquals(shapeFault(ended(detail)), fault);
  assertEquals(
    shapeFault(new PaymentProcessed({ ...payment, status: "pending" as "paid" })),
    `its status is a string, not "paid" or "declined" (fields found: auctionId, bidderId, amount, status)`,
  );
});

Deno.test("shapeFault() and assertShape() show no value of the event", () => {
  const secret = { bidderId: "ada", name: "Ada", cardToken: ["tok_secret"] } as unknown as BidderRegistered["detail"];
  const event = new BidderRegistered(secret);
  const error = assertThrows(() => assertShape(event), PermanentError, "Cannot handle BidderRegistered at ");
  assertEquals(error.message.includes("secret"), false);
});
