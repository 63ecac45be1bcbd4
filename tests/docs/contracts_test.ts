import { runPage } from "./_run_page.ts";

/** Commands that are not run here, each with the reason. */
const NOT_HERE: Readonly<Record<string, string>> = {
  "npx --yes deno task contracts check examples/auction/events.ts": "tests/contracts runs it",
  "npx --yes deno task contracts compare --against=contracts/auction.schema.json examples/auction/events.ts":
    "tests/contracts runs it",
};

Deno.test("docs/CONTRACTS.md: its programs and commands print what the page shows", (test) => {
  return runPage(test, "docs/CONTRACTS.md", NOT_HERE);
});
