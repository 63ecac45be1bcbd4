import v8 from "node:v8";
import vm from "node:vm";

v8.setFlagsFromString("--expose-gc");
const collect = vm.runInNewContext("gc") as () => void;

/** What is in use on the heap, in bytes, once everything that nobody holds is gone. */
export function heapInUse(): number {
  collect();
  return Deno.memoryUsage().heapUsed;
}

/** By how many bytes the heap in use is larger than before, at most, while the work is done: it looks again and again. */
export async function heapGrowth(work: () => Promise<void>): Promise<number> {
  const before = heapInUse();
  let most = before;
  let timer: ReturnType<typeof setTimeout>;
  // Collecting takes its time where much is held: most of the time is the work's all the same.
  const look = (pause: number) => {
    timer = setTimeout(() => {
      const start = performance.now();
      most = Math.max(most, heapInUse());
      look(Math.max(200, 10 * (performance.now() - start)));
    }, pause);
  };
  look(200);
  try {
    await work();
  } finally {
    clearTimeout(timer!);
  }
  return Math.max(most, heapInUse()) - before;
}

export function megabytes(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(1)} MiB`;
}
