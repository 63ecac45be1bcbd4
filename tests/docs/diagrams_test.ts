import { assert, assertEquals, assertRejects } from "@std/assert";
import DOMPurify from "npm:dompurify@^3";
import mermaid from "npm:mermaid@^12";
import { modulesIn, pathOf } from "../structure/_imports.ts";
import { fencesOf, readPage } from "./_markdown.ts";

const PAGE = "docs/ARCHITECTURE_DIAGRAMS.md";

// Without a browser it comes without these two, which only matter for what is drawn.
Object.assign(DOMPurify, { addHook: () => {}, sanitize: (text: string) => text });

Deno.test("docs/ARCHITECTURE_DIAGRAMS.md holds diagrams that Mermaid can read", async (test) => {
  const diagrams = fencesOf(readPage(PAGE)).filter(({ language }) => language === "mermaid");
  const kinds: string[] = [];
  for (const { text, line } of diagrams) {
    await test.step(`${PAGE}:${line}`, async () => void kinds.push((await mermaid.parse(text)).diagramType));
  }
  assertEquals(new Set(kinds), new Set(["flowchart-v2", "stateDiagram", "sequence"]));
  assert(kinds.length >= 4);
});

Deno.test("docs/ARCHITECTURE_DIAGRAMS.md shows every folder of src/, and no other", () => {
  const folders = new Set([...modulesIn("src")].map((file) => pathOf(file).replace(/\/[^/]+$/, "")));
  const diagrams = fencesOf(readPage(PAGE)).filter(({ language }) => language === "mermaid").map(({ text }) => text);
  const shown = new Set([...diagrams.join("\n").matchAll(/\bsrc(?:\/\w+)+(?![\w.])/g)].map(([path]) => path));
  // The suites have a folder for each kind of suite, which the diagrams leave out.
  const expected = [...folders].filter((path) => path !== "src" && !path.startsWith("src/testing/"));
  assertEquals([...shown].sort(), expected.sort());
});

Deno.test("Mermaid refuses what it cannot read", async () => {
  await assertRejects(() => mermaid.parse("flowchart LR\n  a[begins --> b"));
});
