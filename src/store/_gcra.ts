import type { RateLimit, Taken, TakeOptions } from "./limiter.ts";

// The most that `ahead` may be, in milliseconds.
const MOST_AHEAD = 1_000;

/**
 * The generic cell rate algorithm: `tat` is when the next start is due if no burst is allowed. Returns the next `tat`, with
 * the reserved starts.
 */
export function reserve(
  tat: number,
  now: number,
  { limit, per, burst = 1 }: RateLimit,
  { count, ahead }: TakeOptions,
): Taken & { readonly tat: number } {
  const interval = per / limit;
  const tolerance = (burst - 1) * interval;
  // It may be later than that if the clock went back, or if the limit was lower before.
  let next = Math.min(tat, now + MOST_AHEAD + tolerance + interval);
  const delays: number[] = [];
  while (delays.length < count) {
    const start = Math.max(now, next - tolerance);
    if (start - now > ahead) break;
    delays.push(start - now);
    next = Math.max(next, start) + interval;
  }
  return { delays, next: Math.max(0, next - tolerance - now), tat: next };
}
