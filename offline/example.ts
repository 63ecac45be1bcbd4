/**
 * Runs examples by name, until one fails. Each runs in its own process, with the least permissions:
 *
 *     deno run -A offline/example.ts run persistence --broker=sqlite:auction.db
 *
 * @module
 */
import { fileURLToPath } from "node:url";
import { brokerPermissions, filePermissions, flagValue, listenPermissions } from "../examples/_permissions.ts";
import { launch } from "./launch.ts";

const end = Deno.args.findIndex((arg) => arg.startsWith("-"));
const names = end === -1 ? Deno.args : Deno.args.slice(0, end);
const options = end === -1 ? [] : Deno.args.slice(end);

/** Examples with a lock file of their own. Examples need few packages, and Deno downloads every package of a lock file. */
const LOCKS = ["neighbours", "observed"];
const lockOf = (name: string) =>
  fileURLToPath(new URL(LOCKS.includes(name) ? `${name}.lock` : "demo.lock", import.meta.url));

// Files whose names begin with an underscore contain shared code.
const examples = [...Deno.readDirSync("examples")].filter(({ isFile, name }) => isFile && !name.startsWith("_"))
  .map(({ name }) => name.replace(/\.ts$/, "")).sort();

const unknown = names.find((name) => !examples.includes(name));
if (names.length === 0 || unknown !== undefined) {
  const given = unknown === undefined ? "no name was given" : `there is no example ${unknown}`;
  console.error(`Cannot run an example: ${given}; write \`deno task example NAME\` with one of ${examples.join(", ")}`);
  Deno.exit(2);
}
for (const name of names) {
  const args = ["--no-prompt", ...permissions(name), `examples/${name}.ts`, ...options];
  const code = await launch("run", args, { lock: lockOf(name), env: environmentOf(name) });
  if (code !== 0) Deno.exit(code);
}

/** With `OTEL_DENO`, Deno sends traces to a collector. It reads the collector's address by itself. */
function environmentOf(name: string): Record<string, string> {
  return name === "observed" && Deno.env.get("OTEL_EXPORTER_OTLP_ENDPOINT") ? { OTEL_DENO: "true" } : {};
}

/** The permissions that an example needs with the broker that the options name. */
function permissions(name: string): string[] {
  const broker = brokerPermissions(flagValue(options, "broker") ?? "sqlite:.tidings/any.db");
  if (name === "observed") {
    const [hostname, port] = [flagValue(options, "hostname") ?? "127.0.0.1", flagValue(options, "port") ?? "8000"];
    return [...broker, ...listenPermissions(hostname, port)];
  }
  if (name === "neighbours") return [...broker, "--allow-run=redis-cli,python3"];
  // These two also write files of their own, and start processes.
  return name === "crash" || name === "spread"
    ? [...broker, ...filePermissions(".tidings"), `--allow-run=${Deno.execPath()}`]
    : broker;
}
