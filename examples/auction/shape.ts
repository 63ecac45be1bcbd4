import { PermanentError } from "@tidings/broker";
import type { AuctionHouseEvent } from "./events.ts";

/** What a field must hold: a string, a finite number, or one of these words. */
type Kind = "string" | "number" | readonly string[];

/** The fields of each event's detail. */
const SHAPES: { readonly [E in AuctionHouseEvent as E["type"]]: { readonly [F in keyof E["detail"]]: Kind } } = {
  BidderRegistered: { bidderId: "string", name: "string", cardToken: "string" },
  AuctionEnded: { auctionId: "string", winningBidderId: "string", winningPrice: "number" },
  PaymentProcessed: { auctionId: "string", bidderId: "string", amount: "number", status: ["paid", "declined"] },
};

/**
 * Says which field of an event has the wrong shape, and which fields the event has; undefined if its shape is right.
 *
 * Streams are shared, and TypeScript checks only our own publishers: another program may publish an event of the same
 * type with other fields. A service would give its classes a schema, as
 * `neighbours.ts` does: then the broker checks each event before any handler gets it. The auction checks by hand,
 * because a schema would also end `history` and `replay` at such an event, which these examples print.
 */
export function shapeFault({ type, detail }: AuctionHouseEvent): string | undefined {
  const given: unknown = detail;
  if (typeof given !== "object" || given === null || Array.isArray(given)) {
    return `its detail is ${kindOf(given)}, not an object`;
  }
  const fields = given as Readonly<Record<string, unknown>>;
  for (const [field, kind] of Object.entries<Kind>(SHAPES[type])) {
    const value = Object.hasOwn(fields, field) ? fields[field] : undefined;
    if (fits(value, kind)) continue;
    const found = Object.keys(fields).join(", ") || "none";
    return `its ${field} is ${kindOf(value)}, not ${expected(kind)} (fields found: ${found})`;
  }
  return undefined;
}

/** Rejects an event that another program published with other fields. A retry cannot help, so it is a dead letter. */
export function assertShape(event: AuctionHouseEvent): void {
  const fault = shapeFault(event);
  if (fault === undefined) return;
  throw new PermanentError(
    `Cannot handle ${event.type} at ${event.position}: ${fault}; ` +
      `another program published it: give its events another type or another prefix`,
  );
}

function fits(value: unknown, kind: Kind): boolean {
  if (kind === "string") return typeof value === "string";
  if (kind === "number") return Number.isFinite(value);
  return typeof value === "string" && kind.includes(value);
}

function expected(kind: Kind): string {
  if (kind === "string") return "a string";
  return kind === "number" ? "a finite number" : kind.map((word) => `"${word}"`).join(" or ");
}

// Values are not shown: they may be secret.
function kindOf(value: unknown): string {
  if (value === undefined) return "missing";
  if (value === null) return "null";
  if (Array.isArray(value)) return "an array";
  if (typeof value === "number" && !Number.isFinite(value)) return `${value}`;
  return typeof value === "object" ? "an object" : `a ${typeof value}`;
}
