import { defineEvent, type DomainEventInit } from "@tidings/broker";
import { z } from "zod";

/** The payload that every system carries. */
export interface Detail {
  n: number;
  auctionId: string;
  winningBidderId: string;
  winningPrice: number;
  note: string;
}

/** The event with that payload. */
export class Measured extends defineEvent("Measured")<Detail> {}

const schema = z.object({
  n: z.number().int(),
  auctionId: z.string().min(1),
  winningBidderId: z.string().min(1),
  winningPrice: z.number().positive(),
  note: z.string(),
});

/** The same event, with a schema. */
export class Checked extends defineEvent("Measured", { schema }) {}

/** The same event, with an asynchronous schema. */
export class CheckedLater extends defineEvent("Measured", { schema: schema.refine(() => Promise.resolve(true)) }) {}

/** The same event, with an encrypted field. */
export class Sealed extends defineEvent("Measured", { sensitive: ["winningBidderId"], encrypt: true })<Detail> {
  constructor(detail: Detail, init: DomainEventInit = { subject: "ada" }) {
    super(detail, init);
  }
}

/** The stream of these events. */
export const STREAM = "events:Measured";

// All numbers have the same number of digits, so that all payloads have the same size.
const FIRST = 10_000_000;

/** Returns a function that makes details whose JSON has this many bytes. */
export function detailsOf(bytes: number): (index: number) => Detail {
  const make = (index: number, note: string): Detail => ({
    n: FIRST + index,
    auctionId: "lamp",
    winningBidderId: "ada",
    winningPrice: 99.99,
    note,
  });
  const empty = JSON.stringify(make(0, "")).length;
  if (bytes < empty) {
    throw new RangeError(`Cannot make ${bytes} bytes of JSON: the payload has at least ${empty}; give more`);
  }
  const note = "x".repeat(bytes - empty);
  return (index) => make(index, note);
}

/** The index of an event, from 0. */
export function indexOf({ n }: Detail): number {
  return n - FIRST;
}
