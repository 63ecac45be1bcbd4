import { type Case, idOf, type Sample } from "./_case.ts";
import type { BenchServer } from "./_server.ts";

/** How to run. */
export interface RunSettings {
  /** Counted rounds; one to warm up, with a quarter of the events, comes before them. */
  readonly rounds: number;
  /** Divides how many events a case takes. */
  readonly divisor: number;
  /** Told what runs. */
  progress(text: string): void;
}

/** Samples of each case, one for each round, by its id. */
export type Results = ReadonlyMap<string, readonly Sample[]>;

/**
 * Runs all cases in one round after the other, forwards and backwards in turn, so that what befalls the machine befalls
 * all of them.
 */
export async function runAll(
  server: BenchServer,
  cases: readonly Case[],
  { rounds, divisor, progress }: RunSettings,
): Promise<Results> {
  const results = new Map<string, Sample[]>(cases.map((each) => [idOf(each), []]));
  for (let round = 0; round <= rounds; round++) {
    const order = round % 2 === 0 ? cases : cases.toReversed();
    for (const [index, each] of order.entries()) {
      if (each.once && round !== 1) continue;
      const name = round === 0 ? "warm-up" : `round ${round} of ${rounds}`;
      progress(`${name}, ${index + 1} of ${cases.length}: ${idOf(each)}`);
      const count = Math.ceil(each.count / (round === 0 ? 4 : divisor));
      const sample = await measure(server, each, count);
      if (round > 0) results.get(idOf(each))!.push(sample);
    }
  }
  return results;
}

async function measure(server: BenchServer, each: Case, count: number): Promise<Sample> {
  const prepared = await each.setup(await server.clear(), count);
  try {
    // What was made before the measured part is not paid for in it.
    (globalThis as { gc?(): void }).gc?.();
    const [served, used, start] = [await server.cpu(), process.cpuUsage(), performance.now()];
    const own = await prepared.run();
    const ms = performance.now() - start;
    const { user, system } = process.cpuUsage(used);
    if (own !== undefined) return own;
    const serverCpu = (await server.cpu() - served) / count;
    return { perSecond: count / ms * 1_000, clientCpu: (user + system) / count, serverCpu };
  } catch (cause) {
    throw new Error(`Cannot measure "${idOf(each)}"`, { cause });
  } finally {
    await prepared.close();
  }
}
