/**
 * Runs examples by name, each in a process of its own and with the fewest permissions, until one fails:
 *
 *     deno run -A offline/example.ts run persistence --broker=sqlite:auction.db
 *
 * @module
 */
import { brokerPermissions, filePermissions } from "../examples/_permissions.ts";
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
  const code = await launch("run", ["--no-prompt", ...permissions(name), `examples/${name}.ts`, ...options]);
  if (code !== 0) Deno.exit(code);
}

/** What this example needs with the broker of these options. */
function permissions(name: string): string[] {
  const at = options.findLastIndex((option) => /^--broker(=|$)/.test(option));
  const [, inline] = options[at]?.match(/=(.*)/s) ?? [];
  const broker = brokerPermissions(at === -1 ? "sqlite:.tidings/any.db" : inline ?? options[at + 1] ?? "");
  if (name === "neighbours") return [...broker, "--allow-run=redis-cli,python3"];
  // It keeps a ledger beside its broker, and starts processes.
  return name === "crash" ? [...broker, ...filePermissions(".tidings"), `--allow-run=${Deno.execPath()}`] : broker;
}
