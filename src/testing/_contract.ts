/** A function that registers a test: `Deno.test`, the `test` of `node:test`, or a function of the same shape. */
export interface TestFunction {
  (name: string, fn: () => Promise<void>): unknown;
  /** How Deno registers a test that is not run. */
  ignore?(name: string, fn: () => Promise<void>): unknown;
  /** How Node registers a test that is not run. */
  skip?(name: string, fn: () => Promise<void>): unknown;
}

/** How to run a suite. */
export interface SuiteOptions<Feature extends string> {
  /** Registers the tests. @default {Deno.test} */
  readonly test?: TestFunction;
  /** Features that this backend lacks, each with the reason, which is shown with the skipped tests. */
  readonly skip?: Partial<Record<Feature, string>>;
}

/** One contract of every backend. */
export interface Contract<Bench, Feature extends string> {
  /** The numbers of the guarantees that it checks. */
  readonly numbers: readonly number[];
  /** A sentence that begins with the method: `claim() wakes when an entry is appended`. */
  readonly title: string;
  /** Features that the backend needs for it. */
  readonly needs: readonly Feature[];
  body(bench: Bench): Promise<void>;
}

/** Registers one test for each contract. */
export function register<Bench, Feature extends string>(
  name: string,
  contracts: readonly Contract<Bench, Feature>[],
  { test = defaultTest(), skip = {} }: SuiteOptions<Feature>,
  run: (contract: Contract<Bench, Feature>) => Promise<void>,
): void {
  for (const contract of contracts) {
    const title = `${name}: ${contract.title}`;
    const missing = contract.needs.find((feature) => skip[feature] !== undefined);
    if (missing === undefined) test(title, () => run(contract));
    else (test.ignore ?? test.skip)?.call(test, `${title} (skipped, ${missing}: ${skip[missing]})`, async () => {});
  }
}

function defaultTest(): TestFunction {
  const { Deno } = globalThis as { Deno?: { test: TestFunction } };
  if (Deno === undefined) {
    throw new TypeError(
      "Cannot register the suite: there is no Deno.test here; pass the test function of node:test as the option test",
    );
  }
  return Deno.test;
}
