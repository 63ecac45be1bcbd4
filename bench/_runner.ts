import { type Case, idOf, type Prepared, type Sample } from "./_case.ts";
import type { BenchServer } from "./_server.ts";

// How long a run may take, in ms. A run that takes longer has lost an event.
const TIMEOUT = 120_000;

/** Settings of {@linkcode runAll}. */
export interface RunSettings {
  /** How many rounds are counted. A warm-up round with a quarter of the events comes first. */
  readonly rounds: number;
  /** Divides the number of events of each case. */
  readonly divisor: number;
  /** Receives the name of each run before it starts. */
  progress(text: string): void;
}

/** The results of all cases. */
export interface Results {
  /** Samples of each case, one for each round, by its id. */
  readonly samples: ReadonlyMap<string, readonly Sample[]>;
  /** The errors of cases that failed, by the id of the case. A failed case is not run again. */
  readonly failures: ReadonlyMap<string, unknown>;
}

/**
 * Runs all cases in each round, alternately forwards and backwards, so that disturbances of the machine affect all cases
 * alike.
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
    // Collect garbage now, so that garbage of the preparation does not cost time in the measured part.
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
  const timer = setTimeout(() => late.reject(new Error(`The run did not end within ${TIMEOUT} ms`)), TIMEOUT);
  try {
    return await Promise.race([prepared.run(begin), late.promise]);
  } finally {
    clearTimeout(timer);
  }
}
