/**
 * Runs the long tests, which the gate leaves out: all of them, or only the files that are named as arguments.
 *
 *     deno task test:long tests/redis/consuming/huge_long_test.ts --filter "/200 MB/"
 *
 * @module
 */
import { launch } from "./launch.ts";

const named = Deno.args.some((arg) => arg.endsWith(".ts"));
const files = named ? [] : ["tests/**/*_long_test.ts"];
Deno.exit(await launch("test", ["-P", "--trace-leaks", ...Deno.args, ...files]));
