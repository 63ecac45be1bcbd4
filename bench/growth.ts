/**
 * Measures how costs grow: `deno task bench:growth`. Options: `--rounds=N`, `--only=REGEX` of a curve's name, `--long` for
 * sizes up to ten million, `--quick` for sizes up to ten thousand. Prints a table, and writes plots to `growth/`.
 *
 * @module
 */
import { parseArgs } from "@std/cli/parse-args";
import { machine } from "./_machine.ts";
import { BenchServer } from "./_server.ts";
import { medians } from "./_stats.ts";
import { heading, progress } from "./_table.ts";
import { abandoned } from "./growth/abandoned.ts";
import { assignment } from "./growth/assignment.ts";
import { consumers } from "./growth/consumers.ts";
import type { Costs, Curve } from "./growth/_curve.ts";
import { historyDepth } from "./growth/history.ts";
import { parked } from "./growth/parked.ts";
import { plot } from "./growth/_plot.ts";
import { streamLength } from "./growth/stream_length.ts";
import { subjectHistory } from "./growth/subject.ts";
import { connections, subscriptions } from "./growth/subscriptions.ts";

const { rounds = "3", only = ".", long, quick } = parseArgs(Deno.args, {
  string: ["rounds", "only"],
  boolean: ["long", "quick"],
});
const longest = quick ? 10_000 : long ? 10_000_000 : 1_000_000;
const all = [
  streamLength(longest),
  subscriptions,
  connections,
  consumers,
  assignment,
  parked,
  historyDepth(longest),
  subjectHistory(longest),
  abandoned,
];
const curves = all.filter(({ name }) => new RegExp(only).test(name)).map((curve) => {
  return quick ? { ...curve, sizes: curve.sizes.filter((size) => size <= 10_000) } : curve;
});

/** The median of the rounds at each size. Sizes go up in one round and down in the next. */
async function measure(server: BenchServer, curve: Curve): Promise<Map<number, Costs>> {
  const samples = new Map<number, Costs[]>(curve.sizes.map((size) => [size, []]));
  for (let round = 0; round <= Number(rounds); round++) {
    // The warm-up round uses only the two smallest sizes.
    const sizes = round === 0 ? curve.sizes.slice(0, 2) : round % 2 === 0 ? curve.sizes.toReversed() : curve.sizes;
    for (const size of sizes) {
      progress(`${curve.name}, round ${round} of ${rounds}, ${size} ${curve.x}`);
      const costs = await curve.measure(await server.clear(), size);
      if (round > 0) samples.get(size)!.push(costs);
    }
  }
  return new Map([...samples].map(([size, costs]) => [size, medians(costs)]));
}

const about = await machine();
await using server = await BenchServer.start();
console.log(`${heading(about)}\nmedians of ${rounds} rounds, node-redis`);
for (const curve of curves) {
  const costs = await measure(server, curve);
  progress("");
  const names = Object.keys(costs.get(curve.sizes[0]!)!);
  console.log(`\n${curve.title}, ${curve.unit}`);
  for (const [size, at] of costs) {
    const shown = names.map((name) => `${name} ${at[name]!.toFixed(2)}`);
    console.log(`  ${size.toLocaleString("en").padStart(10)} ${curve.x}  ${shown.join("  ")}`);
  }
  const lines = names.map((name) => ({
    name,
    points: [...costs].map(([size, at]) => [size, at[name]!] as const),
  }));
  if (quick) continue;
  const file = new URL(`growth/${curve.name}.svg`, import.meta.url);
  await Deno.writeTextFile(file, plot({ title: curve.title, x: curve.x, y: curve.unit, lines }));
}
