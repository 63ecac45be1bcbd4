import { runPage } from "./_run_page.ts";

Deno.test("docs/MIGRATION.md works as it stands", (test) => runPage(test, "docs/MIGRATION.md"));
