import { assert, assertEquals } from "@std/assert";
import { importMap, importsOf, isRelative, pathOf, root } from "./_imports.ts";

/** The modules and packages that a module loads statically: paths in the project, and the names of imports. */
function staticGraph(entry: string): { modules: Set<string>; packages: Set<string> } {
  const names = importMap("deno.json");
  const modules = new Set<string>();
  const packages = new Set<string>();
  const visit = (file: URL): void => {
    if (modules.has(pathOf(file))) return;
    modules.add(pathOf(file));
    for (const { specifier, kind } of importsOf(file)) {
      if (kind !== "static") continue;
      const own = isRelative(specifier)
        ? new URL(specifier, file)
        : names[specifier]?.startsWith("./") && new URL(names[specifier], root);
      if (own) visit(own);
      else packages.add(specifier);
    }
  };
  visit(new URL(entry, root));
  return { modules, packages };
}

Deno.test("mod.ts loads only @std/uuid, and no durable store before it is used", () => {
  const { modules, packages } = staticGraph("mod.ts");
  assertEquals([...packages].filter((name) => name !== "@std/uuid/v7"), []);
  assertEquals([...modules].filter((path) => !/^(mod\.ts$|src\/)/.test(path)), []);
  assertEquals([...modules].filter((path) => /^src\/(sqlite|redis|testing|encryption|contracts)\//.test(path)), []);
});

Deno.test("telemetry loads no SDK of OpenTelemetry, except for Prometheus", () => {
  assertEquals([...staticGraph("src/telemetry/mod.ts").packages].sort(), ["@opentelemetry/api", "@std/uuid/v7"]);
});

// Slightly above the present values, documentation included. `deno task bench --only=weight` counts packages too.
const MOST_MODULES = 125;
const MOST_BYTES = 690_000;

Deno.test("mod.ts stays light", () => {
  const { modules } = staticGraph("mod.ts");
  const bytes = [...modules].reduce((sum, path) => sum + Deno.statSync(new URL(path, root)).size, 0);
  assert(modules.size <= MOST_MODULES, `mod.ts loads ${modules.size} modules, at most ${MOST_MODULES} are allowed`);
  assert(bytes <= MOST_BYTES, `mod.ts loads ${bytes} bytes of source, at most ${MOST_BYTES} are allowed`);
  assert(modules.size > 10 && bytes > 10_000, `Only ${modules.size} modules were found, of ${bytes} bytes`);
});
