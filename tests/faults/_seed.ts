import fc from "fast-check";

/** What a run of the fault bench begins with: everything random in it follows from this number. */
export const SEED: number = seedOf(Deno.env.get("FAULTS_SEED"));

function seedOf(told: string | undefined): number {
  if (told === undefined || told === "") return crypto.getRandomValues(new Uint32Array(1))[0]! >>> 1;
  const seed = Number(told);
  if (Number.isInteger(seed) && seed >= 0 && seed < 2 ** 31) return seed;
  throw new RangeError(
    `Cannot seed the fault bench: FAULTS_SEED is "${told}", not a whole number from 0 to 2 ** 31 - 1`,
  );
}

/** Chance that comes out the same whenever it is made with the same seed. */
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

  /** One of them. */
  pick<T>(from: readonly T[]): T {
    return from[this.between(0, from.length - 1)]!;
  }
}

/**
 * Registers a test whose error says the seed of its run. Its chance depends on the seed and on its name alone, not on
 * which tests run before it.
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
