/**
 * Runs a program of the bench, as `deno run -A bench/launch.ts main --quick`, with its own lock file: what the broker is
 * compared with is downloaded here and nowhere else.
 *
 * @module
 */
import { launch } from "../offline/launch.ts";
import { LOCK } from "./_imports.ts";

const [program, ...args] = Deno.args;
// The collector is called between cases, so that none pays for what an earlier one left.
Deno.exit(
  await launch("run", ["-A", "--quiet", "--v8-flags=--expose-gc", `bench/${program}.ts`, ...args], { lock: LOCK }),
);
