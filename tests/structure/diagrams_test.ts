import { assertEquals } from "@std/assert";
import { fencesOf, readPage } from "../docs/_markdown.ts";
import { modulesIn, pathOf } from "./_imports.ts";

const PAGE = "docs/ARCHITECTURE_DIAGRAMS.md";

Deno.test(`the diagrams of ${PAGE} name every folder of src/, and no others`, () => {
  const folders = new Set([...modulesIn("src")].map((file) => pathOf(file).replace(/\/[^/]+$/, "")));
  const diagrams = fencesOf(readPage(PAGE)).filter(({ language }) => language === "mermaid").map(({ text }) => text);
  const named = new Set([...diagrams.join("\n").matchAll(/\bsrc(?:\/\w+)+(?![\w.])/g)].map(([path]) => path));
  // The suites have a folder for each kind of suite, which the diagrams leave out.
  const expected = [...folders].filter((path) => path !== "src" && !path.startsWith("src/testing/"));
  assertEquals([...named].sort(), expected.sort());
});
