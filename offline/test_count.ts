/** Counts the passed, failed and ignored tests of a `deno test`. A run that failed counts at least one failed test. */
export function countTests(code: number, output: string): { passed: number; failed: number; ignored: number } {
  // The last line of the output, for example `FAILED | 3 passed (2 steps) | 1 failed | 1 ignored (70ms)`. Deno's JUnit
  // report is easier to read, but leaves out a file that throws while it is loaded.
  const summary = [
    ...output.matchAll(/^(?:ok|FAILED) \| (\d+) passed\b.* \| (\d+) failed\b(?:.* \| (\d+) ignored\b)?/gm),
  ]
    .at(-1);
  const [passed, failed, ignored] = [1, 2, 3].map((group) => Number(summary?.[group] ?? 0)) as [number, number, number];
  const passedAll = code === 0 && summary !== undefined;
  return { passed, failed: passedAll ? failed : Math.max(failed, 1), ignored };
}

/** The files of which the output of a `deno test` names a test, as in `tests/events/names_test.ts`. */
export function testedFiles(output: string): Set<string> {
  return new Set(
    [...output.matchAll(/^(?:running \d+ tests? from )?\.\/(\S+_test\.ts)(?: => |$)/gm)].map(([, file]) => file!),
  );
}

/** The slowest files of a `deno test` that ran without `--parallel`, the slowest first. */
export function slowestFiles(output: string, count: number): { file: string; seconds: number }[] {
  const files = new Map<string, number>();
  let file = "";
  for (const line of output.split("\n")) {
    file = /^running \d+ tests? from (?:\.\/)?(\S+)/.exec(line)?.[1] ?? file;
    // A name at the start of a line is a test; steps are indented.
    const [, minutes, time, unit] = /^\S.* \((?:(\d+)m(?!s))?(\d+)(ms|s|µs)\)$/.exec(line) ?? [];
    if (file === "" || unit === undefined || /^(ok|FAILED) \|/.test(line)) continue;
    const seconds = Number(minutes ?? 0) * 60 + Number(time) * { s: 1, ms: 1e-3, "µs": 1e-6 }[unit]!;
    files.set(file, (files.get(file) ?? 0) + seconds);
  }
  return [...files].map(([file, seconds]) => ({ file, seconds })).sort((a, b) => b.seconds - a.seconds).slice(0, count);
}
