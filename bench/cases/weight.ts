import { fileURLToPath } from "node:url";
import type { Case } from "../_case.ts";
import { inheritedImportFlags } from "../../offline/imports.ts";

interface Module {
  readonly specifier: string;
  readonly size?: number;
  readonly dependencies?: readonly { readonly code?: { readonly specifier: string }; readonly isDynamic?: boolean }[];
}

/** The modules that importing the package loads, and their size. */
export const WEIGHT: Case = {
  group: "weight of mod.ts, what it loads statically",
  name: "tidings",
  note: "by `deno info --json`, without types and dynamic imports",
  count: 1,
  once: true,
  setup: () =>
    Promise.resolve({
      run: async () => {
        const args = [
          "info",
          "--json",
          ...inheritedImportFlags(),
          fileURLToPath(new URL("../../mod.ts", import.meta.url)),
        ];
        const { stdout } = await new Deno.Command(Deno.execPath(), { args }).output();
        const { roots, modules } = JSON.parse(new TextDecoder().decode(stdout));
        return weigh(roots[0], modules);
      },
      close: () => Promise.resolve(),
    }),
};

function weigh(root: string, modules: readonly Module[]): { modules: number; kilobytes: number } {
  const bySpecifier = new Map(modules.map((module) => [module.specifier, module]));
  const reached = new Set([root]);
  for (const specifier of reached) {
    for (const { code, isDynamic } of bySpecifier.get(specifier)?.dependencies ?? []) {
      if (code !== undefined && !isDynamic) reached.add(code.specifier);
    }
  }
  const bytes = [...reached].reduce((sum, specifier) => sum + (bySpecifier.get(specifier)?.size ?? 0), 0);
  return { modules: reached.size, kilobytes: bytes / 1_000 };
}
