import type { AuctionHouseEvent } from "./events.ts";

type Fields = Readonly<Record<string, "string" | "number">>;

/** The fields of each event's detail, by its type. */
const SHAPES: Readonly<Record<AuctionHouseEvent["type"], Fields>> = {
  BidderRegistered: { bidderId: "string", name: "string", cardToken: "string" },
  AuctionEnded: { auctionId: "string", winningBidderId: "string", winningPrice: "number" },
  PaymentProcessed: { auctionId: "string", bidderId: "string", amount: "number", status: "string" },
};

/**
 * What is wrong with an event that another program wrote with fields of its own; undefined when it is as expected.
 * Streams are shared: a real service gives its classes a schema, which checks this for every reader.
 */
export function shapeFault({ type, detail }: AuctionHouseEvent): string | undefined {
  const found = Object(detail) as Record<string, unknown>;
  const wrong = Object.entries(SHAPES[type]).find(([field, kind]) => {
    const is: string = typeof found[field];
    return is !== kind;
  });
  return wrong && `another program's event: ${wrong[0]} is no ${wrong[1]}, it has ${Object.keys(found).join(", ")}`;
}
