/**
 * Runs the fault bench again and again, each time with a seed of its own:
 *
 *     deno task test:faults --repeat 20
 *     deno task test:faults --seed 1234 tests/faults/network_test.ts
 *
 * Prints a line for each run, and the output of each failed run with the command that repeats it. Exits with 1 if one
 * failed.
 *
 * @module
 */
import { parseArgs } from "@std/cli/parse-args";
import { commandOf } from "../../offline/launch.ts";
import { countTests } from "../../offline/test_count.ts";

const { repeat, seed, _: given } = parseArgs(Deno.args, {
  string: ["repeat", "seed"],
  default: { repeat: "1" },
  unknown: (arg, key) => key === undefined || refuse(`there is no option ${arg}`),
});
const times = wholeNumber("--repeat", repeat, 1, 1e6);
const first = seed === undefined ? crypto.getRandomValues(new Uint16Array(1))[0]! : wholeNumber("--seed", seed, 0, 2e9);
const files = given.length === 0 ? ["tests/faults"] : given.map(String);

let failures = 0;
for (let run = 0; run < times; run++) if (!await passes(first + run)) failures++;
if (times > 1) console.log(`${times - failures} of ${times} runs passed`);
Deno.exit(failures === 0 ? 0 : 1);

/** Does one run and prints its line. The gate checks the types. */
async function passes(seed: number): Promise<boolean> {
  const began = performance.now();
  const test = await commandOf("test", ["-P", "--no-check", "--trace-leaks", "--ignore=**/*_long_test.ts", ...files], {
    env: { FAULTS_SEED: String(seed), NO_COLOR: "1" },
    stdin: "null",
  });
  const { code, stdout, stderr } = await test.output();
  const output = [stderr, stdout].map((bytes) => new TextDecoder().decode(bytes)).join("\n").trim();
  const { passed, failed } = countTests(code, output);
  const seconds = ((performance.now() - began) / 1_000).toFixed(1);
  console.log(`seed ${seed}: ${passed} passed, ${failed} failed, ${seconds} s`);
  if (failed === 0) return true;
  const which = given.map((file) => ` ${file}`).join("");
  console.log(`\n${output}\n\nTo repeat it: deno task test:faults --seed ${seed}${which}\n`);
  return false;
}

function wholeNumber(option: string, text: string, min: number, max: number): number {
  const value = Number(text);
  if (text !== "" && Number.isInteger(value) && value >= min && value <= max) return value;
  return refuse(`${option} is "${text}", not a whole number from ${min} to ${max}`);
}

function refuse(why: string): never {
  console.error(`Cannot run the fault bench: ${why}; for example \`deno task test:faults --repeat 3 --seed 1234\``);
  Deno.exit(2);
}
