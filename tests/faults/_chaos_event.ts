import { defineEvent } from "@tidings/broker";

/**
 * What handlers make of an event besides failing at random: nothing, give up on it half the time, hang half the time, end
 * their process most times (in the first group), or say on standard output that they had it.
 */
export type Manner = "plain" | "permanent" | "hanging" | "deadly" | "probe";

/** What chaos publishes and consumes. */
export class Chaos extends defineEvent("Chaos")<{ n: number; manner: Manner; key: string }> {}

export const GROUPS = ["alpha", "beta", "gamma"] as const;

/** How the consumers consume. */
export const CONSUMING = {
  lease: 1_500,
  prefetch: 20,
  concurrency: 4,
  handlerTimeout: 500,
  retry: { maxAttempts: 4, minTimeout: 50, maxTimeout: 1_000 },
} as const;

/** What a process ends with when a deadly event ends it. */
export const DEADLY = 9;

/** What a chaos process does. */
export interface ChaosRole {
  readonly name: "consume" | "publish";
  readonly client: "@db/redis" | "node-redis" | undefined;
  /** The file that it says in what happens, a line each: the time in ms, what, and whom it concerns. */
  readonly log: string;
  readonly seed: number;
  /** Its consumers' name. */
  readonly consumer?: string;
  /** Handlers do nothing at random from the beginning. */
  readonly calm: boolean;
}
