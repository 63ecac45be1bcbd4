/**
 * The gate: everything a change must pass. Each step prints its time, and what it said if it failed; the others run all
 * the same. The last line counts tests, a failed step of another kind as one failed test.
 *
 * @module
 */
import { fileURLToPath } from "node:url";
import manifest from "../deno.json" with { type: "json" };
import { importFlags, importSource } from "../offline/imports.ts";
import { childEnv } from "../offline/launch.ts";
import { bringRedisServer, serverPermissions } from "../offline/redis_server.ts";
import { countTests } from "../offline/test_count.ts";

interface Step {
  name: string;
  args: readonly string[];
  /** Whether it is a `deno test`, whose tests count. */
  tests?: boolean;
  cwd?: string;
}

interface Result {
  passed: number;
  failed: number;
  output: string;
  /** What the step's line says behind its time. */
  note?: string;
}

/** Tests that start, time and end processes and servers of their own. */
const TIMED = ["tests/processes", "tests/redis", "tests/faults"];
const root = new URL("../", import.meta.url);
const path = (name: string): string => fileURLToPath(new URL(name, root));
const source = await importSource();
// A lock file that does not fit is rewritten at home, and refused where nobody would commit it.
const imports = [...importFlags[source], ...(Deno.env.get("CI") && source === "stand-in" ? ["--frozen"] : [])];
// Tests and snippets write here only, and what they leave behind goes with it.
const scratch = await Deno.realPath(await Deno.makeTempDir({ prefix: "tidings-" }));

// Interrupted, the gate still tidies up after itself.
const stop = new AbortController();
for (const signal of Deno.build.os === "windows" ? ["SIGINT"] as const : ["SIGINT", "SIGTERM"] as const) {
  Deno.addSignalListener(signal, () => stop.abort());
}

const write = (text: string): void => void Deno.stdout.writeSync(new TextEncoder().encode(text));
const coloured = Deno.stdout.isTerminal() && !Deno.noColor;
const paint = (code: number, text: string): string => coloured ? `\x1b[${code}m${text}\x1b[39m` : text;

write(`imports from ${source === "jsr" ? "JSR" : "npm, standing in for JSR"}\n`);
let [passed, failed] = [0, 0];
const { note: server } = await timed("server", async () => {
  try {
    const found = await bringRedisServer(write, AbortSignal.any([stop.signal, AbortSignal.timeout(600_000)]));
    return { passed: 0, failed: 0, output: "", note: found };
  } catch (error) {
    return { passed: 0, failed: 1, output: error instanceof Error ? error.message : String(error) };
  }
});

const steps: readonly Step[] = [
  { name: "format", args: ["fmt", "--check", ".", ".ci"] },
  { name: "lint", args: ["lint", ".", ".ci"] },
  { name: "types", args: ["check", ...imports, ".", ".ci"] },
  { name: "doc lint", args: ["doc", "--lint", ...imports, ...Object.values(manifest.exports)] },
  {
    name: "snippets",
    tests: true,
    // README's snippets name files by relative paths.
    cwd: scratch,
    args: [
      "test",
      "--doc",
      "--allow-read=.",
      "--allow-write=.",
      `--config=${path("deno.json")}`,
      ...imports,
      ...["mod.ts", "src", "README.md"].map(path),
    ],
  },
  ...(server === undefined ? [] : [
    testStep("tests", server, ["--parallel", `--ignore=**/*_long_test.ts,${TIMED.join(",")}`, "tests"]),
    // One after the other: they kill, stop and time real processes and servers, and tests beside them would decide.
    testStep("processes", server, ["--ignore=**/*_long_test.ts", ...TIMED]),
  ]),
];

/** A step of tests, with the permissions of deno.json but for its directories of temporary files. */
function testStep(name: string, server: string, args: readonly string[]): Step {
  const files = [`--allow-read=.,${scratch}`, `--allow-write=${scratch}`];
  return {
    name,
    tests: true,
    args: ["test", "-P", ...serverPermissions(server), ...files, "--trace-leaks", ...imports, ...args],
  };
}

/** Runs one step to its end and counts what it tested. */
async function run({ args, cwd, tests = false }: Step): Promise<Result> {
  const command = new Deno.Command(Deno.execPath(), {
    args: [...args],
    cwd: cwd ?? path("."),
    env: { ...childEnv(source), TMPDIR: scratch, NO_COLOR: "1", REDIS_SERVER: server ?? "" },
    stdin: "null",
    signal: AbortSignal.any([stop.signal, AbortSignal.timeout(1_200_000)]),
  });
  const { code, stdout, stderr } = await command.output();
  const output = [stderr, stdout].map((bytes) => new TextDecoder().decode(bytes)).join("\n");
  if (!tests) return { passed: 0, failed: code === 0 ? 0 : 1, output };
  const counted = countTests(code, output);
  return { ...counted, output, note: `${counted.passed} passed, ${counted.failed} failed` };
}

/** Does a step, and prints its line. */
async function timed(name: string, act: () => Promise<Result>): Promise<Result> {
  write(name.padEnd(10));
  const start = performance.now();
  const result = await act();
  if (stop.signal.aborted) return result;
  const seconds = ((performance.now() - start) / 1_000).toFixed(1);
  const verdict = result.failed === 0 ? paint(32, "ok    ") : paint(31, "FAILED");
  write(`${verdict} ${seconds.padStart(6)} s${result.note === undefined ? "" : `, ${result.note}`}\n`);
  if (result.failed > 0) write(`\n${result.output.trim()}\n\n`);
  passed += result.passed;
  failed += result.failed;
  return result;
}

try {
  for (const step of steps) {
    if (stop.signal.aborted) break;
    await timed(step.name, () => run(step));
  }
} finally {
  await Deno.remove(scratch, { recursive: true });
}
if (stop.signal.aborted) Deno.exit(130);
if (server === undefined) write("tests were not run: there is no server for them\n");
write(`${passed} passed, ${failed} failed\n`);
Deno.exit(failed === 0 ? 0 : 1);
