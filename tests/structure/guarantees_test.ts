import { assertEquals } from "@std/assert";
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
