import { assert, assertEquals } from "@std/assert";
import { pathOf, root } from "./_imports.ts";

// A contract names its guarantees by number; so does a file whose tests have no contracts, in a comment.
const CONTRACT = /\bcontract\(\s*"([\d, ]+)"|\bnumbers: \[([\d, ]+)\]|^\/\/ Guarantees? ([\d, ]+):/gm;

/** The files of a directory, and of those in it, that hold tests. */
function* filesIn(directory: URL): Generator<URL> {
  for (const entry of [...Deno.readDirSync(directory)].sort((a, b) => a.name < b.name ? -1 : 1)) {
    const url = new URL(entry.isDirectory ? `${entry.name}/` : entry.name, directory);
    if (entry.isDirectory) yield* filesIn(url);
    else if (url.pathname.endsWith(".ts")) yield url;
  }
}

function numbersIn(source: string): Set<number> {
  const lists = [...source.matchAll(CONTRACT)].map(([, contract, numbers, stated]) => contract ?? numbers ?? stated!);
  return new Set(lists.flatMap((list) => list.split(",").map(Number)));
}

Deno.test("CONTRIBUTING.md says which tests show each guarantee", () => {
  const shown = new Map<number, string[]>();
  for (const directory of ["src/testing/", "tests/"]) {
    for (const file of filesIn(new URL(directory, root))) {
      for (const number of numbersIn(Deno.readTextFileSync(file))) {
        shown.set(number, [...shown.get(number) ?? [], pathOf(file)]);
      }
    }
  }
  const said = new Map<number, string[]>();
  for (const line of Deno.readTextFileSync(new URL("CONTRIBUTING.md", root)).split("\n")) {
    const [, number, , files] = /^\| +(\d+) +\| (.+?) +\| (.*?) *\|$/.exec(line) ?? [];
    if (number !== undefined) said.set(Number(number), [...files!.matchAll(/`([^`]+)`/g)].map((match) => match[1]!));
  }
  assertEquals([...said.keys()], Array.from({ length: 35 }, (_, index) => index + 1));
  for (const [number, files] of said) assertEquals(files, shown.get(number) ?? [], `guarantee ${number}`);
});

Deno.test("README.md names tests that exist for each promise", () => {
  const [, promises] = /^## What you can rely on\n(.+?)^And what you cannot/ms.exec(
    Deno.readTextFileSync(new URL("README.md", root)),
  )!;
  const rows = promises!.split("\n").filter((line) => line.startsWith("| ")).slice(2);
  assert(rows.length >= 15, `${rows.length} promises`);
  for (const row of rows) {
    const cells = row.split("|").slice(1, -1).map((cell) => cell.trim());
    const [promise, shown] = [cells[0], cells.at(-1)];
    const paths = [...shown!.matchAll(/`([^`]+)`/g)].map((match) => match[1]!);
    assert(paths.length > 0, `Nothing shows that ${promise}`);
    for (const path of paths) {
      const source = Deno.readTextFileSync(new URL(path, root));
      assert(
        /^(src\/testing|tests)\//.test(path) && /\bcontract\(|\bDeno\.test\(|\bnumbers: /.test(source),
        `${path} holds no tests`,
      );
    }
  }
});
