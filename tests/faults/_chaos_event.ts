import { defineEvent } from "@tidings/broker";
import type { FleetRole } from "./_chaos_fleet.ts";

/**
 * What handlers do with an event besides failing at random: nothing more, throw a PermanentError half the time, hang half
 * the time, end their process most times (in the first group), or report the event on standard output.
 */
export type Manner = "plain" | "permanent" | "hanging" | "deadly" | "probe";

/** The event that the processes of the chaos test publish and consume. */
export class Chaos extends defineEvent("Chaos")<{ n: number; manner: Manner; key: string }> {}

export const GROUPS = ["alpha", "beta", "gamma"] as const;

/** Options of all subscriptions. */
export const CONSUMING = {
  lease: 1_500,
  prefetch: 20,
  concurrency: 4,
  handlerTimeout: 500,
  retry: { maxAttempts: 4, minTimeout: 50, maxTimeout: 1_000 },
} as const;

/** The exit code of a process that a deadly event ended. */
export const DEADLY = 9;

/** The role of a process of the chaos test. */
export interface ChaosRole extends FleetRole {
  readonly client: "@db/redis" | "node-redis" | undefined;
  /** The name of its consumers. */
  readonly consumer?: string;
}
