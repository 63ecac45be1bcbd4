/**
 * Measures the three stores in one process and one run, and prints the table of docs/COMPARISON.md:
 *
 *     npx --yes deno run -A offline/launch.ts run -A tests/docs/compare.ts
 *
 * It starts a Redis server on a free port, with an append-only file. Numbers of different runs or machines cannot be
 * compared.
 *
 * @module
 */
import { join } from "node:path";
import { connect, defineEvent, type EventBroker, RedisBroker } from "@tidings/broker";
import { createClient } from "redis";
import { RedisServer } from "../redis/_server.ts";

// About 190 bytes of JSON.
class Measured extends defineEvent("Measured")<{ n: number; at: number; text: string }> {}
const TEXT = "x".repeat(150);
const event = (n: number): Measured => new Measured({ n, at: performance.now(), text: TEXT });

const ALONE = 2_000;
const MANY = 50_000;
const WINDOW = 500;
const ROUNDS = 3;
const PACED = 1_500;

type Broker = EventBroker<typeof Measured>;
type Open = () => Promise<Broker>;

const thousands = (count: number, ms: number): number => count / ms;

async function alone(broker: Broker): Promise<number> {
  const began = performance.now();
  for (let n = 0; n < ALONE; n++) await broker.publish(event(n));
  return thousands(ALONE, performance.now() - began);
}

async function inFlight(broker: Broker): Promise<number> {
  const began = performance.now();
  for (let n = 0; n < MANY; n += WINDOW) {
    await Promise.all(Array.from({ length: WINDOW }, (_, nth) => broker.publish(event(n + nth))));
  }
  return thousands(MANY, performance.now() - began);
}

/** A new group handles all stored events. */
async function handled(broker: Broker, group: string): Promise<number> {
  const { length } = await broker.info(Measured);
  const all = Promise.withResolvers<void>();
  let count = 0;
  const began = performance.now();
  const subscription = await broker.subscribe(Measured, () => void (++count === length && all.resolve()), {
    group,
    concurrency: 50,
  });
  await all.promise;
  const ms = performance.now() - began;
  await subscription.close();
  return thousands(length, ms);
}

/** The time from publish to the handler, at 500 events a second. */
async function latency(broker: Broker, group: string): Promise<{ p50: number; p99: number }> {
  const times: number[] = [];
  const all = Promise.withResolvers<void>();
  const subscription = await broker.subscribe(Measured, ({ detail }) => {
    if (times.push(performance.now() - detail.at) === PACED) all.resolve();
  }, { group, startFrom: "now", concurrency: 10 });
  for (let n = 0; n < PACED; n++) {
    void broker.publish(event(n));
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  await all.promise;
  await subscription.close();
  times.sort((a, b) => a - b);
  return { p50: times[Math.floor(PACED * 0.5)]!, p99: times[Math.floor(PACED * 0.99)]! };
}

const median = (values: number[]): number => values.sort((a, b) => a - b)[Math.floor(values.length / 2)]!;

const folder = await Deno.makeTempDir({ prefix: "tidings-compare-" });
await using server = await RedisServer.start();
const client = createClient({ url: server.url.href });
const events = [Measured];
const stores: Readonly<Record<string, (round: number) => Open>> = {
  "in memory": () => () => connect("memory:", { events }),
  "SQLite": (round) => () => connect(`sqlite:${join(folder, `${round}.db`)}`, { events }),
  "Redis, node-redis": () => async () => (await server.cli("FLUSHALL"), await RedisBroker.connect(client, { events })),
};

const table = new Map<string, Record<"alone" | "inFlight" | "handled" | "p50" | "p99", number[]>>();
try {
  for (let round = 0; round <= ROUNDS; round++) {
    for (const [name, at] of Object.entries(stores)) {
      await using broker = await at(round)();
      const row = {
        alone: await alone(broker),
        inFlight: await inFlight(broker),
        handled: await handled(broker, "all"),
        ...await latency(broker, "paced"),
      };
      // The first round warms everything up.
      if (round === 0) continue;
      const kept = table.get(name) ?? { alone: [], inFlight: [], handled: [], p50: [], p99: [] };
      for (const key of Object.keys(row) as (keyof typeof row)[]) kept[key].push(row[key]);
      table.set(name, kept);
    }
  }
} finally {
  await Deno.remove(folder, { recursive: true });
}

console.log("| store | one by one, k/s | 500 in flight, k/s | handled, k/s | latency p50, ms | p99, ms |");
console.log("| --- | --- | --- | --- | --- | --- |");
for (const [name, row] of table) {
  const cells = [row.alone, row.inFlight, row.handled].map((values) => median(values).toFixed(1));
  const times = [row.p50, row.p99].map((values) => median(values).toFixed(2));
  console.log(`| ${name} | ${[...cells, ...times].join(" | ")} |`);
}
