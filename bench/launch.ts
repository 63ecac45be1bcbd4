/**
 * Runs a program of the bench, as in `deno run -A bench/launch.ts main --quick`. It uses the bench's own lock file, so that
 * only the bench downloads the packages that the broker is compared with.
 *
 * @module
 */
import { launch } from "../offline/launch.ts";
import { LOCK } from "./_imports.ts";

const [program, ...args] = Deno.args;
// `--expose-gc` allows collecting garbage between cases, so that no case pays for the garbage of an earlier one.
Deno.exit(
  await launch("run", ["-A", "--quiet", "--v8-flags=--expose-gc", `bench/${program}.ts`, ...args], { lock: LOCK }),
);
