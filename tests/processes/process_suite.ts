import { Bench, type ProcessContract, type SharedData } from "./_bench.ts";
import { deaths } from "./_deaths.ts";
import { flow } from "./_flow.ts";
import { pausing } from "./_pausing.ts";
import { rates } from "./_rates.ts";
import { rolling } from "./_rolling.ts";
import { takeover } from "./_takeover.ts";

export type { SharedData } from "./_bench.ts";

/** All tests of processes that share a durable store. */
export const processContracts: readonly ProcessContract[] = [
  ...takeover,
  ...deaths,
  ...flow,
  ...pausing,
  ...rates,
  ...rolling,
];

/**
 * Registers the tests that every durable store passes. Each has data of its own, and real processes that are killed and
 * frozen.
 *
 * @param name The name of the store in the tests' names.
 * @param open Makes empty data for one test, which disposes of it.
 */
export function testProcesses(name: string, open: () => Promise<SharedData>): void {
  for (const { title, body } of processContracts) {
    Deno.test({
      name: `${name}: ${title}`,
      // Windows cannot freeze a process and continue it.
      ignore: Deno.build.os === "windows",
      async fn() {
        await using bench = await Bench.open(await open());
        await body(bench);
      },
    });
  }
}
