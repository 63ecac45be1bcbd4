import v8 from "node:v8";
import vm from "node:vm";

v8.setFlagsFromString("--expose-gc");
const collect = vm.runInNewContext("gc") as () => void;

/** How many bytes of the heap are in use after a garbage collection. */
export function heapInUse(): number {
  collect();
  return Deno.memoryUsage().heapUsed;
}

/** The largest growth of the heap in use while the work is done, in bytes; measured again and again. */
export async function heapGrowth(work: () => Promise<void>): Promise<number> {
  const before = heapInUse();
  let most = before;
  let timer: ReturnType<typeof setTimeout>;
  // Collecting a large heap is slow: at least nine tenths of the time are left for the work.
  const measure = (pause: number) => {
    timer = setTimeout(() => {
      const start = performance.now();
      most = Math.max(most, heapInUse());
      measure(Math.max(200, 10 * (performance.now() - start)));
    }, pause);
  };
  measure(200);
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
