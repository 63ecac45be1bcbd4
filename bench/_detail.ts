import { defineEvent } from "@tidings/broker";

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
