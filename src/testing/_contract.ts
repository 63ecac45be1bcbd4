/** What registers a test: `Deno.test`, the `test` of `node:test`, or anything of that shape. */
export interface TestFunction {
  (name: string, fn: () => Promise<void>): unknown;
  /** How Deno registers a test that is not run. */
  ignore?(name: string, fn: () => Promise<void>): unknown;
  /** How Node registers a test that is not run. */
  skip?(name: string, fn: () => Promise<void>): unknown;
}

/** How to run a suite. */
export interface SuiteOptions<Feature extends string> {
  /** What registers the tests. @default {Deno.test} */
  readonly test?: TestFunction;
  /** What this backend cannot do, each with the reason; it is shown with the tests that are left out for it. */
  readonly skip?: Partial<Record<Feature, string>>;
}

/** One promise that every backend keeps. */
export interface Contract<Bench, Feature extends string> {
  /** The numbers of the guarantees that it checks. */
  readonly numbers: readonly number[];
  /** `member() does what when`. */
  readonly title: string;
  /** What the backend must be able to do for it. */
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
    throw new TypeError("Cannot register the suite: there is no Deno.test here; pass node:test's as the option test");
  }
  return Deno.test;
}
