import type { Place } from "../_case.ts";

/** What something costs at one size, by what it is: all in the curve's unit. */
export type Costs = Readonly<Record<string, number>>;

/** How a cost grows with something. */
export interface Curve {
  /** Of its file, and for `--only`. */
  readonly name: string;
  readonly title: string;
  /** What grows. */
  readonly x: string;
  /** What the costs are measured in, as in "µs per event". */
  readonly unit: string;
  readonly sizes: readonly number[];
  /** Brings what grows to a size where nothing is yet, measures, and clears away. */
  measure(place: Place, size: number): Promise<Costs>;
}

/** Microseconds for each of so many. */
export async function microseconds(count: number, run: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await run();
  return (performance.now() - start) * 1_000 / count;
}
