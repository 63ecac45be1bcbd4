/** How many tests of a `deno test` passed, failed and were left out; one that ended in any other way than passing has failed once at least. */
export function countTests(code: number, output: string): { passed: number; failed: number; ignored: number } {
  // Deno's own last word, for example `FAILED | 3 passed (2 steps) | 1 failed | 1 ignored (70ms)`. Its JUnit report is
  // easier to read but leaves out a file that throws while it loads.
  const summary = [
    ...output.matchAll(/^(?:ok|FAILED) \| (\d+) passed\b.* \| (\d+) failed\b(?:.* \| (\d+) ignored\b)?/gm),
  ]
    .at(-1);
  const [passed, failed, ignored] = [1, 2, 3].map((group) => Number(summary?.[group] ?? 0)) as [number, number, number];
  const sound = code === 0 && summary !== undefined;
  return { passed, failed: sound ? failed : Math.max(failed, 1), ignored };
}
