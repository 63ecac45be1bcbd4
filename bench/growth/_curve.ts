import type { Place } from "../_case.ts";

/** The costs at one size, by the names of the lines, in the curve's unit. */
export type Costs = Readonly<Record<string, number>>;

/** A cost that is measured at several sizes. */
export interface Curve {
  /** The name of its file, and in `--only`. */
  readonly name: string;
  readonly title: string;
  /** What the sizes count, such as "events in the stream". */
  readonly x: string;
  /** The unit of the costs, such as "µs per event". */
  readonly unit: string;
  readonly sizes: readonly number[];
  /** Fills an empty place up to a size, measures, and closes what it opened. */
  measure(place: Place, size: number): Promise<Costs>;
}

/** Runs, and returns the duration divided by `count`, in microseconds. */
export async function microseconds(count: number, run: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await run();
  return (performance.now() - start) * 1_000 / count;
}
