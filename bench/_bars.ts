import type { Sample } from "./_case.ts";

/** What a bar is judged by. */
export interface Measured {
  readonly figures: Sample;
  readonly ratios: Readonly<Record<string, number>>;
  readonly rounds: readonly Sample[];
  samplesOf(name: string): readonly Sample[];
}

/** What a row has to reach. */
export interface Bar {
  readonly group: RegExp;
  readonly name: RegExp;
  readonly text: string;
  /** Undefined where this run has nothing to compare with. */
  measure(row: Measured): number | undefined;
  met(measured: number): boolean;
}

/** At least so many times the rate of another row of the group. */
function times(group: RegExp, name: RegExp, least: number, other: string): Bar {
  return {
    group,
    name,
    text: `≥ ${least} × ${other}`,
    measure: ({ ratios }) => ratios[other],
    met: (measured) => measured >= least,
  };
}

/** The bars that the design sets. */
export const BARS: readonly Bar[] = [
  times(/^publish 190 B, 500 in flight/, /^tidings, node-redis/, 1, "redis-benchmark -P 64"),
  times(/^publish 190 B, (500 in flight|windows)/, /^tidings, node-redis/, 1.1, "raw, node-redis"),
  times(/^publish 190 B, windows/, /^tidings, @db\/redis$/, 2.5, "raw, @db/redis"),
  ...["node-redis", "ioredis", "@db/redis", "@db/redis (stand-in)"].map((client) => {
    return times(/^publish 190 B, one at a time/, new RegExp(`^tidings, ${escape(client)}$`), 0.85, `raw, ${client}`);
  }),
  times(/^consume 190 B/, /^tidings, node-redis/, 0.9, "raw, node-redis"),
  times(/^consume 190 B/, /^tidings, node-redis/, 10, "moleculer-channels"),
  times(/^consume 190 B/, /^tidings, node-redis/, 8, "BullMQ"),
];

function escape(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\/]/g, "\\$&");
}
