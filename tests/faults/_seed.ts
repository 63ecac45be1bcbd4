import fc from "fast-check";

/** The seed of this run of the fault bench: all random choices follow from it. */
export const SEED: number = seedOf(Deno.env.get("FAULTS_SEED"));

function seedOf(told: string | undefined): number {
  if (told === undefined || told === "") return crypto.getRandomValues(new Uint32Array(1))[0]! >>> 1;
  const seed = Number(told);
  if (Number.isInteger(seed) && seed >= 0 && seed < 2 ** 31) return seed;
  throw new RangeError(
    `Cannot seed the fault bench: FAULTS_SEED is "${told}", not a whole number from 0 to 2 ** 31 - 1`,
  );
}

/** Random numbers that are the same for the same seed. */
export class Chance {
  #numbers: Iterator<number>;

  constructor(seed: number) {
    const numbers = fc.infiniteStream(fc.noBias(fc.maxSafeNat()), { noHistory: true });
    this.#numbers = fc.sample(numbers, { seed, numRuns: 1 })[0]!;
  }

  /** A whole number from `min` to `max`, both included. */
  between(min: number, max: number): number {
    return min + Math.floor(this.#numbers.next().value! / 2 ** 53 * (max - min + 1));
  }

  /** A random element. */
  pick<T>(from: readonly T[]): T {
    return from[this.between(0, from.length - 1)]!;
  }
}

/**
 * Registers a test whose error names the seed of its run. Its random numbers depend on the seed and its name only, not on
 * the tests before it.
 */
export function testFault(name: string, body: (chance: Chance) => Promise<void>, ignore = false): void {
  Deno.test({
    name,
    ignore,
    async fn() {
      try {
        await body(new Chance(SEED ^ hash(name)));
      } catch (error) {
        const message = error instanceof Error ? error.message : String(error);
        throw new Error(`With seed ${SEED} (repeat it: deno task test:faults --seed ${SEED}): ${message}`, {
          cause: error,
        });
      }
    },
  });
}

function hash(text: string): number {
  let sum = 0;
  for (const char of text) sum = Math.imul(31, sum) + char.codePointAt(0)! | 0;
  return sum;
}
