import { type Case, idOf, type Prepared, type Sample } from "./_case.ts";
import type { BenchServer } from "./_server.ts";

// How long a run may take, in ms: what has not ended by then has lost something.
const TIMEOUT = 120_000;

/** How to run. */
export interface RunSettings {
  /** Counted rounds; one to warm up, with a quarter of the events, comes before them. */
  readonly rounds: number;
  /** Divides how many events a case takes. */
  readonly divisor: number;
  /** Told what runs. */
  progress(text: string): void;
}

/** What came of it. */
export interface Results {
  /** Samples of each case, one for each round, by its id. */
  readonly samples: ReadonlyMap<string, readonly Sample[]>;
  /** Of cases that failed, and were left out from then on, by their ids. */
  readonly failures: ReadonlyMap<string, unknown>;
}

/**
 * Runs all cases in one round after the other, forwards and backwards in turn, so that what befalls the machine befalls
 * all of them.
 */
export async function runAll(
  server: BenchServer,
  cases: readonly Case[],
  { rounds, divisor, progress }: RunSettings,
): Promise<Results> {
  const samples = new Map<string, Sample[]>(cases.map((each) => [idOf(each), []]));
  const failures = new Map<string, unknown>();
  for (let round = 0; round <= rounds; round++) {
    const order = round % 2 === 0 ? cases : cases.toReversed();
    for (const [index, each] of order.entries()) {
      const id = idOf(each);
      if (failures.has(id) || each.once && round !== 1) continue;
      progress(`${round === 0 ? "warm-up" : `round ${round} of ${rounds}`}, ${index + 1} of ${cases.length}: ${id}`);
      try {
        const sample = await measure(server, each, Math.ceil(each.count / (round === 0 ? 4 : divisor)));
        if (round > 0) samples.get(id)!.push(sample);
      } catch (error) {
        failures.set(id, error);
      }
    }
  }
  return { samples, failures };
}

async function measure(server: BenchServer, each: Case, count: number): Promise<Sample> {
  const prepared = await each.setup(await server.clear(), count);
  try {
    // What was made before the measured part is not paid for in it.
    (globalThis as { gc?(): void }).gc?.();
    let [served, used, start] = [server.cpu(), process.cpuUsage(), performance.now()];
    await served;
    const own = await inTime(prepared, () => {
      [served, used, start] = [server.cpu(), process.cpuUsage(), performance.now()];
    });
    const ms = performance.now() - start;
    const { user, system } = process.cpuUsage(used);
    if (own !== undefined) return own;
    const serverCpu = (await server.cpu() - await served) / count;
    return { perSecond: count / ms * 1_000, clientCpu: (user + system) / count, serverCpu };
  } finally {
    await prepared.close();
  }
}

async function inTime(prepared: Prepared, begin: () => void): Promise<Sample | void> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new Error(`It did not end within ${TIMEOUT} ms`)), TIMEOUT);
  try {
    return await Promise.race([prepared.run(begin), late.promise]);
  } finally {
    clearTimeout(timer);
  }
}
