import { idOf, type Sample } from "./_case.ts";
import { medianRatio } from "./_stats.ts";

/** The results of a row that a bar is compared with. */
export interface Measured {
  readonly figures: Sample;
  readonly rounds: readonly Sample[];
  /** The samples of another row of the same group. */
  samplesOf(name: string): readonly Sample[];
}

/** A goal that a row has to reach. */
export interface Bar {
  /** Matches the "group / name" of the rows that it applies to. */
  readonly row: RegExp;
  readonly text: string;
  /** Undefined if this run lacks the row to compare with. */
  measure(row: Measured): number | undefined;
  met(measured: number): boolean;
}

/** Bounds for a figure, or for its ratio to the same figure of the row `than`. */
interface Limit {
  readonly figure?: string;
  readonly than?: string;
  readonly least?: number;
  readonly most?: number;
}

function bar(row: RegExp, { figure = "perSecond", than, least = -Infinity, most = Infinity }: Limit): Bar {
  const bound = most === Infinity ? `≥ ${least}` : `≤ ${most}`;
  return {
    row,
    text: `${figure} ${bound}${than === undefined ? "" : ` × ${than}`}`,
    measure: ({ figures, rounds, samplesOf }) => {
      if (than === undefined) return figures[figure];
      const others = samplesOf(than);
      return others.length === 0 ? undefined : medianRatio(rounds, others, figure);
    },
    met: (measured) => measured >= least && measured <= most,
  };
}

const CLIENTS = ["node-redis", "ioredis", "@db/redis", "@db/redis (stand-in)"];

/** The goals of the design. */
export const BARS: readonly Bar[] = [
  bar(/^publish 190 B, 500 in flight \/ tidings, node-redis$/, { than: "redis-benchmark -P 64", least: 1 }),
  bar(/^publish 190 B, (500 in flight|windows of 500) \/ tidings, node-redis$/, {
    than: "raw, node-redis",
    least: 1.1,
  }),
  // Not for the stand-in, which has no pipeline.
  bar(/^publish 190 B, windows of 500 \/ tidings, @db\/redis$/, { than: "raw, @db/redis", least: 2.5 }),
  ...CLIENTS.map((client) => {
    return bar(exactly("publish 190 B, one at a time", `tidings, ${client}`), { than: `raw, ${client}`, least: 0.85 });
  }),
  bar(/^consume 190 B.* \/ tidings, node-redis$/, { than: "raw, node-redis", least: 0.9 }),
  bar(/^consume 190 B.* \/ tidings, node-redis$/, { than: "moleculer-channels", least: 10 }),
  bar(/^consume 190 B.* \/ tidings, node-redis$/, { than: "BullMQ", least: 8 }),
  bar(/^publish .* then consume.* \/ tidings, node-redis, 8 partitions$/, {
    figure: "serverCpu",
    than: "tidings, node-redis, no partitions",
    most: 1.15,
  }),
  bar(/^publish to handler .* \/ tidings, node-redis, 8 partitions, 500 in flight$/, {
    figure: "serverCpu",
    than: "tidings, node-redis, no partitions, 500 in flight",
    most: 1.15,
  }),
  bar(/^latency .* at 500\/s \/ tidings, node-redis$/, { figure: "p50", most: 0.5 }),
  bar(/^latency .* at 500\/s \/ tidings, node-redis$/, { figure: "p99", than: "raw, node-redis", most: 2 }),
  bar(/^memory .* \/ tidings, node-redis$/, { figure: "bytesPerEvent", than: "raw, node-redis", most: 1.05 }),
  bar(/^a consumer is killed, default lease \/ tidings/, { figure: "takenOverMs", most: 35_000 }),
  bar(/^a consumer is killed, lease 1000 ms \/ tidings/, { figure: "takenOverMs", most: 1_500 }),
  bar(/^(publish|consume) 190 B.* \/ tidings, node-redis, 8 partitions$/, {
    figure: "serverCpu",
    than: "tidings, node-redis, no partitions",
    most: 1.15,
  }),
  bar(/a cluster of three nodes \/ tidings, node-redis, 64 partitions$/, { figure: "busiestNode", most: 1.2 }),
  bar(/ \/ tidings, in memory, 500 in flight$/, { than: "JSON round trip, one after the other", least: 0.3 }),
];

function exactly(group: string, name: string): RegExp {
  return new RegExp(`^${idOf({ group, name }).replace(/[.*+?^${}()|[\]\\]/g, "\\$&")}$`);
}
