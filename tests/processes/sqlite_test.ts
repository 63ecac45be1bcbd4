import { assertEquals } from "@std/assert";
import { Bench } from "./_bench.ts";
import { type SharedData, testProcesses } from "./process_suite.ts";

async function open(): Promise<SharedData> {
  const directory = await Deno.makeTempDir({ prefix: "tidings-" });
  return {
    url: `sqlite:${directory}/events.db`,
    permissions: [`--allow-read=${directory}`, `--allow-write=${directory}`],
    [Symbol.asyncDispose]: () => Deno.remove(directory, { recursive: true }),
  };
}

testProcesses("SQLite", open);

Deno.test("SQLite: a process that forgets close() ends by itself when no subscription and no listener is open", async () => {
  await using bench = await Bench.open(await open());
  const process = bench.start({ name: "linger" });
  assertEquals((await process.ended).code, 0);
  assertEquals((await bench.group("visitors")).consumers, []);
});
