/**
 * What things cost, side by side: `deno task bench`. Takes `--rounds=N`, `--quick` for fewer and shorter ones, `--list`,
 * `--only=REGEX` of "group / name", and `--out=FILE` for the figures of all rounds as JSON.
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
import { print, progress } from "./_table.ts";

const { rounds, only, quick, list, out } = parseArgs(Deno.args, {
  string: ["rounds", "only", "out"],
  boolean: ["quick", "list"],
});
const settings = { rounds: Number(rounds ?? (quick ? 3 : 5)), divisor: quick ? 2 : 1, progress };
const cases = chooseCases(new RegExp(only ?? "."));
if (cases.length === 0 || !(settings.rounds >= 1)) {
  console.error(`Cannot run the bench: --only=${only} leaves ${cases.length} cases, --rounds is ${settings.rounds}`);
  Deno.exit(2);
}
if (list) {
  for (const each of cases) console.log(idOf(each));
  Deno.exit(0);
}

const about = await machine();
await using server = await BenchServer.start();
const rows = judge(cases, await runAll(server, cases, settings));
print(rows, about, settings.rounds);
// Only a whole run replaces the figures that are kept.
const whole = only === undefined && !quick ? new URL("results.json", import.meta.url) : undefined;
const file = out ?? whole;
if (file !== undefined) {
  await Deno.writeTextFile(file, `${JSON.stringify({ about, rounds: settings.rounds, rows }, null, 1)}\n`);
}
