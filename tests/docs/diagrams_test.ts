import { assert, assertEquals, assertRejects } from "@std/assert";
import DOMPurify from "npm:dompurify@^3";
import mermaid from "npm:mermaid@^12";
import { fencesOf, readPage } from "./_markdown.ts";

const PAGE = "docs/ARCHITECTURE_DIAGRAMS.md";

// Without a browser, DOMPurify lacks these two functions. They matter for drawing only.
Object.assign(DOMPurify, { addHook: () => {}, sanitize: (text: string) => text });

Deno.test("docs/ARCHITECTURE_DIAGRAMS.md has diagrams that Mermaid can read", async (test) => {
  const diagrams = fencesOf(readPage(PAGE)).filter(({ language }) => language === "mermaid");
  const kinds: string[] = [];
  for (const { text, line } of diagrams) {
    await test.step(`${PAGE}:${line}`, async () => void kinds.push((await mermaid.parse(text)).diagramType));
  }
  assertEquals(new Set(kinds), new Set(["flowchart-v2", "stateDiagram", "sequence"]));
  assert(kinds.length >= 4);
});

Deno.test("Mermaid refuses a malformed diagram", async () => {
  await assertRejects(() => mermaid.parse("flowchart LR\n  a[begins --> b"));
});
