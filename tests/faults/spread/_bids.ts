import { defineEvent } from "@tidings/broker";
import type { FleetRole } from "../_chaos_fleet.ts";

interface Detail {
  auctionId: string;
  /** The process that published it. */
  by: string;
  /** The number of the event among those that this process published about this auction, from 0. */
  n: number;
}

/** Two classes that share a partitioned stream. */
export class Bid extends defineEvent("Bid", { stream: "Auction", subject: "auctionId" })<Detail> {}
/** The other one. */
export class Remark extends defineEvent("Remark", { stream: "Auction", subject: "auctionId" })<Detail> {}

/** All classes. */
export const CLASSES = [Bid, Remark] as const;

/** The numbers of partitions that the stream has in turn, by chance. It begins with the first. */
export const SIZES = [8, 5, 12] as const;
/** Most partitions that the stream may have had. */
export const MOST_PARTITIONS = Math.max(...SIZES);

/** Options of a broker that knows this number of partitions. */
export function brokerOptions(partitions: number) {
  return { events: CLASSES, streams: { Auction: { partitions } }, publishTimeout: 5_000 };
}

/**
 * The groups, and how their consumers read. All but `shared` keep the order of each subject over all processes. Only events
 * of `held` may become dead letters: there, later events of the subject wait until a process has redriven the letter.
 */
export const GROUPS = ["handled", "pulled", "shared", "held"] as const;
/** A group. */
export type Group = typeof GROUPS[number];

/** The most handlers that run at once in one subscription. */
export const CONCURRENCY = 6;
/**
 * Deliveries that one consumer holds of all its partitions. A third of all events is about three subjects: with much fewer, a
 * backlog of these fills the window, and handlers of other subjects wait.
 */
export const PREFETCH = 200;

/** Options of all consumers. Events become dead letters only by permanent errors. */
export const CONSUMING = {
  lease: 1_500,
  prefetch: PREFETCH,
  drainTimeout: 1_000,
  retry: { maxAttempts: 1_000_000, minTimeout: 20, maxTimeout: 200 },
} as const;

/** The role of a process. */
export interface SpreadRole extends FleetRole {
  readonly client: "@db/redis" | "node-redis" | "ioredis" | undefined;
  /** Whether publishes wait for a replica. */
  readonly replicated: boolean;
  /** The start of the names of its auctions, which no other slot uses; undefined for auctions of all publishers. */
  readonly auctions: string | undefined;
  /** The file with the number of partitions. */
  readonly sizeFile: string;
}
