/**
 * The gate: everything that a change must pass. Each step prints its time and, if it failed, its output. The other steps
 * run even if one failed. The last line counts the tests; a failed step without tests counts as one failed test.
 *
 * @module
 */
import { fileURLToPath } from "node:url";
import manifest from "../deno.json" with { type: "json" };
import { importFlags, importSource } from "../offline/imports.ts";
import { childEnv } from "../offline/launch.ts";
import { findOrInstallPrometheus } from "../offline/prometheus.ts";
import { findOrInstallRedisServer, serverPermissions } from "../offline/redis_server.ts";
import { countTests, slowestFiles, testedFiles } from "../offline/test_count.ts";

interface Step {
  name: string;
  args: readonly string[];
  /** Whether the step is a `deno test`, whose tests are counted. */
  tests?: boolean;
  cwd?: string;
}

interface Result {
  passed: number;
  failed: number;
  output: string;
  /** Printed after the step's time. */
  note?: string;
  /** Lines printed below it. */
  details?: readonly string[];
}

/**
 * Tests that kill, freeze or time processes and servers. Those of one name run one file after the other, beside those of
 * the other names: most of their time they wait. A folder that another name lists is left out of the folder above it.
 */
const TIMED = {
  processes: ["tests/faults", "tests/processes"],
  connections: ["tests/redis/connection", "tests/redis/cluster", "tests/redis/sentinel"],
  redis: ["tests/redis"],
};
/** Tests that start a server, but neither kill nor time it. */
const UNTIMED = [
  "clients/node_redis_test.ts",
  "clients/ioredis_test.ts",
  "clients/db_redis_test.ts",
  "connection/errors_test.ts",
  "consuming/lag_test.ts",
  "consuming/removed_test.ts",
  "publishing/fsync_test.ts",
  "scripts",
  "free_port_test.ts",
].map((file) => `tests/redis/${file}`);
const LONG = "**/*_long_test.ts";
/** How many files of tests run at once, where that is more than one: tests wait for most of their time. */
const JOBS = String(2 * navigator.hardwareConcurrency);
const root = new URL("../", import.meta.url);
const path = (name: string): string => fileURLToPath(new URL(name, root));
const source = await importSource();
// An outdated lock file is updated on a developer's machine, and refused in CI, where the update would not be committed.
const imports = [...importFlags[source], ...(Deno.env.get("CI") && source === "stand-in" ? ["--frozen"] : [])];
// Tests and snippets write only here. The folder is removed at the end.
const scratch = await Deno.realPath(await Deno.makeTempDir({ prefix: "tidings-" }));

// The gate also removes its files when it is interrupted.
const stop = new AbortController();
for (const signal of Deno.build.os === "windows" ? ["SIGINT"] as const : ["SIGINT", "SIGTERM"] as const) {
  Deno.addSignalListener(signal, () => stop.abort());
}

const write = (text: string): void => void Deno.stdout.writeSync(new TextEncoder().encode(text));
const coloured = Deno.stdout.isTerminal() && !Deno.noColor;
const paint = (code: number, text: string): string => coloured ? `\x1b[${code}m${text}\x1b[39m` : text;

write(`imports from ${source === "jsr" ? "JSR" : "npm stand-ins for JSR"}\n`);
let [passed, failed] = [0, 0];
/** Files of which a test was run. */
const tested = new Set<string>();
const { note: server } = await measure("servers", async () => {
  try {
    const signal = AbortSignal.any([stop.signal, AbortSignal.timeout(600_000)]);
    const found = await findOrInstallRedisServer(write, signal);
    await findOrInstallPrometheus(write, signal);
    return { passed: 0, failed: 0, output: "", note: found };
  } catch (error) {
    return { passed: 0, failed: 1, output: error instanceof Error ? error.message : String(error) };
  }
});

const style: readonly Step[] = [
  { name: "format", args: ["fmt", "--check", ".", ".ci"] },
  { name: "lint", args: ["lint", ".", ".ci"] },
];
const checks: readonly Step[] = [
  { name: "types", args: ["check", ...imports, ".", ".ci"] },
  { name: "doc lint", args: ["doc", "--lint", ...imports, ...Object.values(manifest.exports)] },
  {
    name: "snippets",
    tests: true,
    // Snippets of the README write to relative paths.
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
];
// Deno leaves out files of an ignored folder even where they are named: so folders are named, and none is ignored.
const untimedFolders = [...Deno.readDirSync(path("tests"))]
  .filter(({ isDirectory }) => isDirectory)
  .map(({ name }) => `tests/${name}`)
  .filter((folder) => !Object.values(TIMED).flat().includes(folder));
const parallel = server === undefined
  ? []
  : [testStep("tests", server, ["--parallel", `--ignore=${LONG}`, ...untimedFolders, ...UNTIMED])];
const timed = server === undefined ? [] : Object.entries(TIMED).map(([name, paths]) => {
  const others = Object.values(TIMED).flat().filter((other) => paths.some((path) => other.startsWith(`${path}/`)));
  return testStep(name, server, [`--ignore=${[LONG, ...UNTIMED, ...others].join(",")}`, ...paths]);
});

/** A step of tests, with the permissions of deno.json, except that only this run's temporary folder may be written. */
function testStep(name: string, server: string, args: readonly string[]): Step {
  const files = [`--allow-read=.,${scratch}`, `--allow-write=${scratch}`];
  return {
    name,
    tests: true,
    args: ["test", "-P", ...serverPermissions(server), ...files, "--trace-leaks", ...imports, ...args],
  };
}

/** Runs one step, and counts its tests. */
async function run({ args, cwd, tests = false }: Step): Promise<Result> {
  const command = new Deno.Command(Deno.execPath(), {
    args: [...args],
    cwd: cwd ?? path("."),
    env: { ...childEnv(source), TMPDIR: scratch, NO_COLOR: "1", DENO_JOBS: JOBS, REDIS_SERVER: server ?? "" },
    stdin: "null",
    signal: AbortSignal.any([stop.signal, AbortSignal.timeout(1_200_000)]),
  });
  const { code, stdout, stderr } = await command.output();
  const output = [stderr, stdout].map((bytes) => new TextDecoder().decode(bytes)).join("\n");
  if (!tests) return { passed: 0, failed: code === 0 ? 0 : 1, output };
  const counted = countTests(code, output);
  for (const file of testedFiles(output)) tested.add(file);
  const details = slowestFiles(output, 3).map(({ file, seconds }) => `${seconds.toFixed(1).padStart(6)} s  ${file}`);
  return { ...counted, output, note: `${counted.passed} passed, ${counted.failed} failed`, details };
}

/** All files of short tests in a folder, as in `tests/events/names_test.ts`. */
function testFiles(folder: string): string[] {
  return [...Deno.readDirSync(path(folder))].flatMap(({ name, isDirectory }) => {
    const file = `${folder}/${name}`;
    if (isDirectory) return testFiles(file);
    return file.endsWith("_test.ts") && !file.endsWith("_long_test.ts") ? [file] : [];
  });
}

/** The part of a test output after the list of all tests: the failures. */
function errorsIn(output: string): string {
  const at = output.search(/^ ERRORS $/m);
  return at < 0 ? output : output.slice(at);
}

/** Runs steps one after the other. */
async function runInOrder(steps: readonly Step[]): Promise<void> {
  for (const step of steps) if (!stop.signal.aborted) await measure(step.name, () => run(step));
}

/** Runs a step, and prints its result on one line. */
async function measure(name: string, act: () => Promise<Result>): Promise<Result> {
  const start = performance.now();
  const result = await act();
  if (stop.signal.aborted) return result;
  const seconds = ((performance.now() - start) / 1_000).toFixed(1);
  const verdict = result.failed === 0 ? paint(32, "ok    ") : paint(31, "FAILED");
  write(
    `${name.padEnd(12)}${verdict} ${seconds.padStart(6)} s${result.note === undefined ? "" : `, ${result.note}`}\n`,
  );
  for (const line of result.details ?? []) write(`            ${line}\n`);
  if (result.failed > 0) write(`\n${errorsIn(result.output).trim()}\n\n`);
  passed += result.passed;
  failed += result.failed;
  return result;
}

try {
  await runInOrder([...style, ...parallel]);
  // These tests mostly wait for processes and servers, so the checks run beside them.
  await Promise.all([...timed.map((step) => runInOrder([step])), runInOrder(checks)]);
} finally {
  await Deno.remove(scratch, { recursive: true });
}
if (stop.signal.aborted) Deno.exit(130);
if (server !== undefined) {
  const forgotten = testFiles("tests").filter((file) => !tested.has(file));
  if (forgotten.length > 0) write(`no step ran these tests: ${forgotten.join(", ")}\n`);
  failed += forgotten.length;
} else write("tests were not run: a server that they start was not found\n");
write(`${passed} passed, ${failed} failed\n`);
Deno.exit(failed === 0 ? 0 : 1);
