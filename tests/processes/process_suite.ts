import { Bench, type ProcessContract, type SharedData } from "./_bench.ts";
import { deaths } from "./_deaths.ts";
import { flow } from "./_flow.ts";
import { rolling } from "./_rolling.ts";
import { takeover } from "./_takeover.ts";

export type { SharedData } from "./_bench.ts";

/** All that is promised about processes that share a durable store, with their end in sight or not. */
export const processContracts: readonly ProcessContract[] = [...takeover, ...deaths, ...flow, ...rolling];

/**
 * Registers the tests that any store passes which outlives a process: each with data of its own, and with real processes
 * that are killed, stopped and woken.
 *
 * @param name What the store is called in the tests' names.
 * @param open Makes empty data for one test, which disposes it.
 */
export function testProcesses(name: string, open: () => Promise<SharedData>): void {
  for (const { title, body } of processContracts) {
    Deno.test({
      name: `${name}: ${title}`,
      // Nobody there can stop a process and wake it.
      ignore: Deno.build.os === "windows",
      async fn() {
        await using bench = await Bench.open(await open());
        await body(bench);
      },
    });
  }
}
