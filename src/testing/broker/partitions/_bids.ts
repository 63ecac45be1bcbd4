import { assertEquals } from "@std/assert";
import { type EventBroker, partitionOf } from "../../../broker/mod.ts";
import { defineEvent, type DomainEvent } from "../../../events/mod.ts";
import type { BrokerBench } from "../../_broker_bench.ts";

/** Two classes that share a stream with partitions. */
export class BidPlaced extends defineEvent("BidPlaced", { stream: "Auction", subject: "auctionId" })<
  { auctionId: string; n: number }
> {}
export class AuctionEnded extends defineEvent("AuctionEnded", { stream: "Auction", subject: "auctionId" })<
  { auctionId: string; n: number }
> {}

/** The number of partitions in most contracts. */
export const PARTITIONS = 4;

/** Options of a broker whose stream has partitions. */
export const inPartitions = (partitions: number) => ({ streams: { Auction: { partitions } } });

/** A broker whose stream has partitions. */
export function connectTo(
  bench: BrokerBench,
  partitions: number = PARTITIONS,
): Promise<EventBroker<typeof BidPlaced | typeof AuctionEnded>> {
  return bench.connect([BidPlaced, AuctionEnded], inPartitions(partitions));
}

/** Bids of `auctions` auctions in turn, numbered in the order of publishing. */
export function bids(
  count: number,
  { auctions = 20, from = 0 }: { auctions?: number; from?: number } = {},
): BidPlaced[] {
  return Array.from({ length: count }, (_, nth) => {
    const n = from + nth;
    return new BidPlaced({ auctionId: `auction-${n % auctions}`, n });
  });
}

/** The number of a bid. */
export function numberOf(event: DomainEvent): number {
  return (event.detail as { n: number }).n;
}

/** An auction whose events are in this partition. */
export function auctionIn(partition: number, partitions: number = PARTITIONS): string {
  for (let n = 0;; n++) {
    const auctionId = `auction-${n}`;
    if (partitionOf(auctionId, partitions) === partition) return auctionId;
  }
}

/** Bids of one auction in each partition, numbered by the partitions. */
export function bidsInEach(count: number = PARTITIONS): BidPlaced[] {
  return Array.from({ length: count }, (_, n) => new BidPlaced({ auctionId: auctionIn(n, count), n }));
}

/** The stream of a partition in the store. */
export function streamOf(partition: number): string {
  return `events:Auction#${partition}`;
}

/** Asserts that events with the numbers from 0 are there once each, and those of each subject in order. */
export function assertOrderOfSubjects(events: readonly DomainEvent[], count: number): void {
  assertEquals(events.map(numberOf).sort((a, b) => a - b), Array.from({ length: count }, (_, n) => n));
  for (const [subject, own] of Map.groupBy(events, ({ subject }) => subject)) {
    const numbers = own.map(numberOf);
    assertEquals(numbers, numbers.toSorted((a, b) => a - b), subject);
  }
}
