// Reads import statements without a parser: `deno fmt` starts a line with each, and no comment or example does so.

/** One import or re-export of a module. */
export interface Import {
  /** As written: "./x.ts", "@std/assert", "node:fs". */
  specifier: string;
  /** `static` loads with the importer, `dynamic` on demand, `type` never. */
  kind: "static" | "dynamic" | "type";
}

/** The project's directory. */
export const root = new URL("../../", import.meta.url);

const CLAUSE = String.raw`(type\s)?\s*([\w$]+\s*,?\s*)?(?:\*(?:\s+as\s+[\w$]+)?|\{([^}]*)\})?\s*from`;
const STATIC = new RegExp(String.raw`^(?:import|export)\b\s*${CLAUSE}\s*"([^"]+)"`, "gm");
const EFFECT = /^import\s+"([^"]+)"/gm;
const DYNAMIC = /^(?!\s*(?:\/\/|\*|\/\*)).*?\bimport\(\s*"([^"]+)"/gm;

/** The imports of a module, in no order. */
export function importsOf(file: URL): Import[] {
  const text = Deno.readTextFileSync(file);
  const found: Import[] = [];
  for (const [, type, name, list, specifier] of text.matchAll(STATIC)) {
    // `import { type A, type B }` loads nothing either: the compiler removes it.
    const names = (list ?? "").split(",").map((entry) => entry.trim()).filter(Boolean);
    const erased = type || (!name && names.length > 0 && names.every((entry) => entry.startsWith("type ")));
    found.push({ specifier: specifier!, kind: erased ? "type" : "static" });
  }
  for (const [, specifier] of text.matchAll(EFFECT)) found.push({ specifier: specifier!, kind: "static" });
  for (const [, specifier] of text.matchAll(DYNAMIC)) found.push({ specifier: specifier!, kind: "dynamic" });
  return found;
}

/** All TypeScript modules under a directory of the project. */
export function* modulesIn(directory: string): Generator<URL> {
  const base = new URL(`${directory}/`, root);
  for (const entry of Deno.readDirSync(base)) {
    if (entry.isDirectory) yield* modulesIn(`${directory}/${entry.name}`);
    else if (entry.name.endsWith(".ts")) yield new URL(entry.name, base);
  }
}

/** A module's path from the project's directory: "src/events/mod.ts". */
export function pathOf(file: URL): string {
  return file.href.slice(root.href.length);
}

/** Whether it names a file of the project rather than a package. */
export function isRelative(specifier: string): boolean {
  return /^\.{1,2}\//.test(specifier);
}

/** The names that an import map or a configuration maps, with their targets. */
export function importMap(file: string): Record<string, string> {
  const { imports, scopes = {} } = JSON.parse(Deno.readTextFileSync(new URL(file, root)));
  return Object.assign({}, imports, ...Object.values(scopes));
}
