import { defineEvent, type DomainEventInit } from "@tidings/broker";
import { z } from "zod";

/** What every system carries. */
export interface Detail {
  n: number;
  auctionId: string;
  winningBidderId: string;
  winningPrice: number;
  note: string;
}

/** The event that carries it. */
export class Measured extends defineEvent("Measured")<Detail> {}

const schema = z.object({
  n: z.number().int(),
  auctionId: z.string().min(1),
  winningBidderId: z.string().min(1),
  winningPrice: z.number().positive(),
  note: z.string(),
});

/** The same event of a class with a schema. */
export class Checked extends defineEvent("Measured", { schema }) {}

/** The same of one whose schema answers by a promise. */
export class CheckedLater extends defineEvent("Measured", { schema: schema.refine(() => Promise.resolve(true)) }) {}

/** The same of one that has a field encrypted. */
export class Sealed extends defineEvent("Measured", { sensitive: ["winningBidderId"], encrypt: true })<Detail> {
  constructor(detail: Detail, init: DomainEventInit = { subject: "ada" }) {
    super(detail, init);
  }
}

/** The stream that it is in. */
export const STREAM = "events:Measured";

// So that all numbers have as many digits.
const FIRST = 10_000_000;

/** Makes details whose JSON has this many bytes. */
export function detailsOf(bytes: number): (index: number) => Detail {
  const make = (index: number, note: string): Detail => ({
    n: FIRST + index,
    auctionId: "lamp",
    winningBidderId: "ada",
    winningPrice: 99.99,
    note,
  });
  const empty = JSON.stringify(make(0, "")).length;
  if (bytes < empty) throw new RangeError(`Cannot make ${bytes} bytes of JSON: the least is ${empty}`);
  const note = "x".repeat(bytes - empty);
  return (index) => make(index, note);
}

/** Which one it is, from 0. */
export function indexOf({ n }: Detail): number {
  return n - FIRST;
}
