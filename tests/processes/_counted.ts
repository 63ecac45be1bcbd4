import { defineEvent } from "@tidings/broker";

/** The event that all processes publish and consume. */
export class Counted extends defineEvent("Counted")<{ n: number }> {}

/** The same event in the next release. */
export class CountedNow extends defineEvent("Counted", {
  version: 2,
  upcast: { 1: ({ n }: { n: number }) => ({ n, twice: 2 * n }) },
})<{ n: number; twice?: number }> {}
