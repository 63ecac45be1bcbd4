/** Writes docs/GUARANTEES.md: `deno task guarantees`. */
import { guaranteesPage } from "./_guarantees_page.ts";
import { root } from "./_imports.ts";

Deno.writeTextFileSync(new URL("docs/GUARANTEES.md", root), guaranteesPage());
