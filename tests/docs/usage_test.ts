import { runPage } from "./_run_page.ts";

Deno.test("docs/USAGE.md: its programs print what the page shows", (test) => runPage(test, "docs/USAGE.md"));
