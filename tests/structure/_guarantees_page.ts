import { pathOf, root } from "./_imports.ts";
import { GUARANTEES, PROMISES } from "./_promises.ts";

// A contract names its guarantees by number; a file without contracts does so in a comment.
const NUMBERS = /\bcontract\(\s*"([\d, ]+)"|\bnumbers: \[([\d, ]+)\]|^\/\/ Guarantees? ([\d, ]+):/gm;

/** Files with tests, in a directory and its folders. */
function* filesIn(directory: URL): Generator<URL> {
  for (const entry of [...Deno.readDirSync(directory)].sort((a, b) => a.name < b.name ? -1 : 1)) {
    const url = new URL(entry.isDirectory ? `${entry.name}/` : entry.name, directory);
    if (url.pathname.endsWith("/tests/structure/")) continue;
    if (entry.isDirectory) yield* filesIn(url);
    else if (url.pathname.endsWith(".ts")) yield url;
  }
}

/** The test files of each guarantee, by its number. */
export function filesByGuarantee(): Map<number, string[]> {
  const files = new Map<number, string[]>();
  for (const directory of ["src/testing/", "tests/"]) {
    for (const file of filesIn(new URL(directory, root))) {
      const lists = [...Deno.readTextFileSync(file).matchAll(NUMBERS)].map(([, ...groups]) => groups.find(Boolean)!);
      for (const number of new Set(lists.flatMap((list) => list.split(",").map(Number)))) {
        files.set(number, [...files.get(number) ?? [], pathOf(file)]);
      }
    }
  }
  return files;
}

/** The text of docs/GUARANTEES.md. */
export function guaranteesPage(): string {
  const files = filesByGuarantee();
  const promises = PROMISES.map(({ promise, numbers, details, failover }) =>
    `- **${promise}.** ${details}${
      failover === undefined ? "" : ` On a Redis Cluster or behind Sentinels, ${failover}.`
    }` +
    ` (${numbers.length === 1 ? "Guarantee" : "Guarantees"} ${numbers.join(", ")})`
  );
  const guarantees = Object.entries(GUARANTEES).map(([number, title]) =>
    `- **${number}. ${title}.** ${
      (files.get(Number(number)) ?? []).map((file) => `[\`${file}\`](../${file})`).join(", ")
    }`
  );
  return `# Guarantees

This page is generated from the tests by \`deno task guarantees\`, and a test compares the two.

## Promises

Every promise holds on every store and with every Redis client. The numbers refer to the list below.

${promises.join("\n")}

## Guarantees, and the tests that show them

The contract suites in \`src/testing/\` run on every store. The other tests need real processes or a real server.

${guarantees.join("\n")}
`;
}
