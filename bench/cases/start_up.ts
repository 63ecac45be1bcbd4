import type { Case, Place } from "../_case.ts";
import { programArgs } from "../_imports.ts";
import { median, quantile } from "../_stats.ts";

const RUNS = 7;

/** The time from starting a process to its first event. */
export function startUpCase(name: string, url: (place: Place) => string): Case {
  return {
    group: "start-up, from `deno run` to the first event published",
    name,
    count: 1,
    once: true,
    note: `median of ${RUNS} runs, modules in Deno's cache`,
    setup: (place) =>
      Promise.resolve({
        run: async () => {
          const took: number[] = [];
          for (let i = 0; i < RUNS; i++) took.push(await firstEvent(url({ ...place, run: `${place.run}-${i}` })));
          return { startMs: median(took), slowestMs: quantile(took, 1) };
        },
        close: () => Promise.resolve(),
      }),
  };
}

async function firstEvent(url: string): Promise<number> {
  const start = performance.now();
  const child = new Deno.Command(Deno.execPath(), {
    args: [...programArgs("_first_event.ts"), url],
    stdout: "piped",
  }).spawn();
  const reader = child.stdout.getReader();
  const { done } = await reader.read();
  const took = performance.now() - start;
  await reader.cancel();
  await child.status;
  if (done) throw new Error(`Cannot measure the start with ${url}: the process published nothing`);
  return took;
}
