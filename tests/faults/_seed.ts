import fc from "fast-check";

/** What this run's randomness begins with: FAULTS_SEED repeats the choices of another run. */
export const seed: number = seedOf(Deno.env.get("FAULTS_SEED"));

function seedOf(told: string | undefined): number {
  if (!told) return crypto.getRandomValues(new Uint32Array(1))[0]! >>> 1;
  const number = Number(told);
  if (Number.isSafeInteger(number)) return number;
  throw new RangeError(`Cannot repeat a run by FAULTS_SEED=${told}: give the whole number that the run printed`);
}

/** Numbers that are the same for the same seed. */
export interface Random {
  /** From 0 up to, not including, 1. */
  next(): number;
  /** A whole number from 0 up to, not including, `n`. */
  int(n: number): number;
  /** One of the list. */
  pick<T>(list: readonly T[]): T;
}

const BLOCK = 500;
const numbers = fc.noBias(fc.nat(2 ** 31 - 1));

/** Random numbers, by fast-check's generator. */
export function random(seed: number): Random {
  let drawn: number[] = [];
  let blocks = 0;
  const next = () => {
    if (drawn.length === 0) drawn = fc.sample(numbers, { seed: seed + blocks++ | 0, numRuns: BLOCK });
    return drawn.pop()! / 2 ** 31;
  };
  const int = (n: number) => Math.floor(next() * n);
  return { next, int, pick: (list) => list[int(list.length)]! };
}
