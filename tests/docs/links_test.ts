import { assert, assertEquals } from "@std/assert";
import { root } from "../structure/_imports.ts";
import { fencesOf, prose, readPage, writeFiles } from "./_markdown.ts";
import { projectFlags } from "./_run_page.ts";

const DOCS = [
  "QUICK_START",
  "USAGE",
  "GUARANTEES",
  "CONTRACTS",
  "README_REDIS",
  "COMPARISON",
  "ARCHITECTURE_DIAGRAMS",
  "MIGRATION",
  "MONITORING",
].map((
  name,
) => `docs/${name}.md`);
const PAGES = [...DOCS, "README.md", "CONTRIBUTING.md", "examples/observed/README.md"];
/** README links to this address, so that its links also work where only README is published. */
const REPOSITORY = "https://github.com/tidings/broker/blob/main/";

/** The anchors that GitHub gives to the headings of a page. */
function anchorsOf(page: string): Set<string> {
  const headings = readPage(page).replace(/^```[\s\S]*?^```$/gm, "").matchAll(/^#+ (.+)$/gm);
  return new Set(
    [...headings].map(([, heading]) => heading!.toLowerCase().replace(/[^\p{L}\p{N} _-]/gu, "").replaceAll(" ", "-")),
  );
}

Deno.test("docs/ has the pages of the list above, and no others", () => {
  const there = [...Deno.readDirSync(new URL("docs/", root))].map(({ name }) => `docs/${name}`).sort();
  assertEquals(there, [...DOCS].sort());
});

for (const page of PAGES) {
  Deno.test(`the links of ${page} lead to files and headings that exist`, () => {
    const text = prose(readPage(page));
    const targets = [...text.matchAll(/\]\(([^)\s]+)\)/g), ...text.matchAll(/^\[\w+\]: (\S+)$/gm)].map((match) =>
      match[1]!
    );
    for (const [, name] of text.matchAll(/\]\[(\w+)\]/g)) {
      assert(text.includes(`\n[${name}]: `), `[${name}] is undefined`);
    }
    for (const link of targets) {
      const target = link.startsWith(REPOSITORY) ? link.slice(REPOSITORY.length) : link;
      if (/^https:/.test(target)) continue;
      const base = link.startsWith(REPOSITORY) ? root : new URL(page, root);
      const [path, anchor] = target.split("#") as [string, string?];
      const file = path === "" ? base : new URL(path, base);
      assert(file.href.startsWith(root.href), `${target} leads out of the project`);
      assert(Deno.statSync(file).isFile, `${target} is no file`);
      if (anchor !== undefined) {
        const name = file.href.slice(root.href.length);
        assert(anchorsOf(name).has(anchor), `${name} has no heading #${anchor}`);
      }
    }
  });
}

Deno.test("every TypeScript block of docs/ passes the type check", async () => {
  const directory = await Deno.makeTempDir({ prefix: "tidings-docs-" });
  try {
    const files = new Map<string, string>();
    for (const page of DOCS) {
      for (const { language, file, line, text } of fencesOf(readPage(page))) {
        if (language === "ts") files.set(`${page}/${file ?? `line_${line}.ts`}`, text);
      }
    }
    await writeFiles(directory, files);
    const { success, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["check", ...projectFlags(), ...[...files.keys()].map((name) => `${directory}/${name}`)],
      env: { NO_COLOR: "1" },
    }).output();
    assert(success, new TextDecoder().decode(stderr));
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("README and CONTRIBUTING stay short, and every file that they name exists", () => {
  for (const [page, most] of [["README.md", 14_000], ["CONTRIBUTING.md", 12_000]] as const) {
    const text = readPage(page);
    assert(new TextEncoder().encode(text).length <= most, `${page} is longer than ${most} bytes`);
    for (const [, path] of text.matchAll(/`((?:src|tests|docs|offline|examples)\/[^`\s]*)`/g)) {
      assert(Deno.statSync(new URL(path!, root)), `${page} names ${path}`);
    }
  }
});
