/**
 * Measures costs side by side: `deno task bench`. Options: `--rounds=N`, `--quick` for fewer and shorter rounds, `--list` to
 * print the cases, `--only=REGEX` of "group / name", and `--out=FILE` for the figures of all rounds as JSON. A whole run
 * writes the figures to `results.json`, and the goals to README.md.
 *
 * @module
 */
import { parseArgs } from "@std/cli/parse-args";
import { idOf } from "./_case.ts";
import { chooseCases } from "./_cases.ts";
import { judge } from "./_judge.ts";
import { machine } from "./_machine.ts";
import { runAll } from "./_runner.ts";
import { BenchServer } from "./_server.ts";
import { writeBars } from "./_readme.ts";
import { print, progress } from "./_table.ts";

const { rounds, only, quick, list, out } = parseArgs(Deno.args, {
  string: ["rounds", "only", "out"],
  boolean: ["quick", "list"],
});
const settings = { rounds: Number(rounds ?? (quick ? 3 : 5)), divisor: quick ? 2 : 1, progress };
const cases = chooseCases(new RegExp(only ?? "."), quick);
if (cases.length === 0 || !(settings.rounds >= 1)) {
  console.error(
    `Cannot run the bench: --only=${only} matches ${cases.length} cases and --rounds is ${settings.rounds}; both must be at ` +
      "least 1",
  );
  Deno.exit(2);
}
if (list) {
  for (const each of cases) console.log(idOf(each));
  Deno.exit(0);
}

const about = await machine();
await using server = await BenchServer.start();
const results = await runAll(server, cases, settings);
const rows = judge(cases, results);
print(rows, about, settings.rounds);
for (const [id, error] of results.failures) {
  console.error(`\nCannot measure "${id}":`, error);
  Deno.exitCode = 1;
}
const json = `${JSON.stringify({ about, rounds: settings.rounds, rows }, null, 1)}\n`;
if (out !== undefined) await Deno.writeTextFile(out, json);
// Only a whole run replaces the stored figures.
if (only === undefined && results.failures.size === 0) {
  await Deno.writeTextFile(new URL("results.json", import.meta.url), json);
  await writeBars(rows, about, settings.rounds);
}
