/**
 * Runs examples by name, each in a process of its own and with the fewest permissions, until one fails:
 *
 *     deno run -A offline/example.ts run persistence --broker=sqlite:auction.db
 *
 * @module
 */
import { dirname } from "node:path";
import { launch } from "./launch.ts";

const end = Deno.args.findIndex((arg) => arg.startsWith("-"));
const names = end === -1 ? Deno.args : Deno.args.slice(0, end);
const options = end === -1 ? [] : Deno.args.slice(end);

// What begins with an underscore is shared by them.
const examples = [...Deno.readDirSync("examples")].filter(({ isFile, name }) => isFile && !name.startsWith("_"))
  .map(({ name }) => name.replace(/\.ts$/, "")).sort();

const unknown = names.find((name) => !examples.includes(name));
if (names.length === 0 || unknown !== undefined) {
  const given = unknown === undefined ? "no name given" : `there is none named ${unknown}`;
  console.error(`Cannot run an example: ${given}; for example \`deno task example run\`, or ${examples.join(", ")}`);
  Deno.exit(2);
}
for (const name of names) {
  const code = await launch("run", [...permissions(options), `examples/${name}.ts`, ...options]);
  if (code !== 0) Deno.exit(code);
}

/** What the broker of these options needs: nothing in memory, else the directory of its file, which it may have to make. */
function permissions(options: readonly string[]): string[] {
  const at = options.findLastIndex((option) => /^--broker(=|$)/.test(option));
  const [, inline] = options[at]?.match(/=(.*)/) ?? [];
  const url = at === -1 ? "sqlite:.tidings/any.db" : inline ?? options[at + 1] ?? "";
  if (!url.startsWith("sqlite:")) return ["--no-prompt"];
  const directory = dirname(url.slice("sqlite:".length).replace(/[?#].*$/, ""));
  return ["--no-prompt", `--allow-read=${directory}`, `--allow-write=${directory}`];
}
