import type { RetryOptions } from "./options.ts";

/** How long to wait after the given failed attempt, counted from 1, in milliseconds. */
export function backoff(
  { minTimeout, maxTimeout, multiplier, jitter }: Omit<Required<RetryOptions>, "maxAttempts">,
  attempt: number,
): number {
  const delay = Math.min(maxTimeout, minTimeout * multiplier ** (attempt - 1));
  return Math.round(delay * (1 - jitter * Math.random()));
}

/** For a store that cannot be reached: soon again at first, never more than every five seconds, never in step. */
export const RECONNECT = { minTimeout: 50, maxTimeout: 5_000, multiplier: 2, jitter: 0.5 } as const;
