import { runPage } from "./_run_page.ts";

Deno.test("docs/MIGRATION.md: its programs and commands print what the page shows", (test) =>
  runPage(test, "docs/MIGRATION.md"));
