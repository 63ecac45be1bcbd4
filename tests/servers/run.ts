/**
 * Runs the tests that need a Redis on one server after the other:
 *
 *     deno task test:servers
 *     deno task test:servers ours=/opt/redis/bin/redis-server tests/redis/scripts/scripts_test.ts
 *
 * Without servers, it uses those on the PATH and, on Debian, those of a later release, which it downloads once into the
 * user's cache: `--release=NAME` chooses another release, `--fresh` downloads them again. `--write` writes the result into
 * docs/README_REDIS.md. Prints a line for each server, the output of failed runs, and a table. Exits with 1 if one failed.
 *
 * @module
 */
import { parseArgs } from "@std/cli/parse-args";
import { debianObstacle, downloadDebianServers } from "../../offline/debian_servers.ts";
import { commandOf } from "../../offline/launch.ts";
import { assertRecent, findRedisServers } from "../../offline/redis_server.ts";
import { countTests } from "../../offline/test_count.ts";
import { type Row, tableOf, writeTable } from "./_table.ts";

// Tests that depend on the server: its replies and errors, its states, and the tools that users see.
const FILES = ["tests/redis", "tests/faults/server_states_test.ts", "tests/people", "tests/docs/readme_redis_test.ts"];

interface Server {
  readonly path: string;
  /** Its name in the table. @default {its own} */
  readonly name?: string;
}

const { fresh, release, write, _ } = parseArgs(Deno.args, {
  boolean: ["fresh", "write"],
  string: ["release", "_"],
  default: { release: "trixie" },
  unknown: (arg, key) => key === undefined || refuse(`there is no option ${arg}`),
});
if (!/^[a-z]+$/.test(release)) refuse(`--release is "${release}", not the name of a release of Debian`);
const given = _.map(String);
const named = given.map((arg) => /^([^=/]*)=(.*)$/.exec(arg)).filter((match) => match !== null);
for (const [arg, name, path] of named) if (!name || !path) refuse(`"${arg}" is not NAME=path of a server`);
const chosen = given.filter((arg) => !/^[^=/]*=/.test(arg));
const files = chosen.length > 0 ? chosen : FILES;
const say = (text: string) => console.log(text);

// With REDIS_URL, the tests would use that server.
Deno.env.delete("REDIS_URL");
let complete = true;
const rows: Row[] = [];
for (const server of named.length > 0 ? named.map(([, name, path]) => ({ name: name!, path: path! })) : await found()) {
  const row = await testServer(server);
  if (row !== undefined) rows.push(row);
}
if (rows.length > 0) say(`\n${tableOf(rows)}`);
if (write && complete) await writeTable(rows, files);
Deno.exit(complete && rows.length > 0 && rows.every(({ failed }) => failed === 0) ? 0 : 1);

/** All servers that are installed or can be downloaded. */
async function found(): Promise<Server[]> {
  const installed = findRedisServers().map((path) => ({ path }));
  const obstacle = debianObstacle();
  if (obstacle !== undefined) {
    say(`Only installed servers are tested: those of Debian cannot be downloaded here, ${obstacle}`);
    return installed;
  }
  try {
    return [...installed, ...(await downloadDebianServers({ release, fresh, say })).map((path) => ({ path }))];
  } catch (error) {
    incomplete(error);
    return installed;
  }
}

/** Runs the tests on one server; undefined if it cannot be tested. */
async function testServer({ path, name: label }: Server): Promise<Row | undefined> {
  let about;
  try {
    about = await assertRecent(path);
  } catch (error) {
    return incomplete(error);
  }
  const name = label ?? about.name;
  say(`${name} ${about.version}, ${path}`);
  const began = performance.now();
  const args = ["-P", "--no-check", "--trace-leaks", "--ignore=**/*_long_test.ts"];
  const test = await commandOf("test", [...args, ...files], {
    server: path,
    env: { NO_COLOR: "1" },
    stdin: "null",
  });
  const { code, stdout, stderr } = await test.output();
  const output = [stderr, stdout].map((bytes) => new TextDecoder().decode(bytes)).join("\n").trim();
  const counts = countTests(code, output);
  const seconds = (performance.now() - began) / 1_000;
  say(`  ${counts.passed} passed, ${counts.failed} failed, ${counts.ignored} ignored, ${seconds.toFixed(1)} s`);
  if (counts.failed > 0) say(`\n${output}\n`);
  return { name, version: about.version, ...counts, seconds };
}

function incomplete(error: unknown): undefined {
  complete = false;
  console.error(error instanceof Error ? error.message : String(error));
}

function refuse(why: string): never {
  console.error(
    `Cannot test servers: ${why}; for example \`deno task test:servers ours=/opt/redis/bin/redis-server tests/redis\``,
  );
  Deno.exit(2);
}
