import type { Sample } from "./_case.ts";

/** The middle value; for an even number of values, the mean of the two middle values. */
export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

/** The value that the fraction `part` of the values does not exceed, interpolated between neighbours. */
export function quantile(values: readonly number[], part: number): number {
  if (values.length === 0) return NaN;
  const sorted = [...values].sort((a, b) => a - b);
  const at = (sorted.length - 1) * part;
  const [low, high] = [sorted[Math.floor(at)]!, sorted[Math.ceil(at)]!];
  return low + (high - low) * (at - Math.floor(at));
}

/** Figures of latencies in milliseconds. */
export function latencies(values: readonly number[]): Sample {
  return { p50: quantile(values, 0.5), p99: quantile(values, 0.99), max: quantile(values, 1) };
}

/** The median of each figure. */
export function medians(samples: readonly Sample[]): Sample {
  const names = Object.keys(samples[0] ?? {});
  return Object.fromEntries(names.map((name) => [name, median(samples.map((sample) => sample[name]!))]));
}

/** The median of the ratios inside each round. */
export function medianRatio(samples: readonly Sample[], others: readonly Sample[], figure: string): number {
  const rounds = Math.min(samples.length, others.length);
  return median(Array.from({ length: rounds }, (_, i) => samples[i]![figure]! / others[i]![figure]!));
}
