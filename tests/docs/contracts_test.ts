import { runPage } from "./_run_page.ts";

/** Commands that are not run here, and why. */
const NOT_HERE: Readonly<Record<string, string>> = {
  "npx --yes deno task contracts check examples/auction/events.ts": "tests/contracts does it",
  "npx --yes deno task contracts compare --against=contracts/auction.schema.json examples/auction/events.ts":
    "tests/contracts does it",
};

Deno.test("docs/CONTRACTS.md works as it stands, from version 1 to 3", (test) => {
  return runPage(test, "docs/CONTRACTS.md", NOT_HERE);
});
