/**
 * Chooses the imports of the project: those of deno.json if JSR can be reached, otherwise the stand-ins of
 * offline/imports.json.
 *
 * This module may import nothing from JSR, because it finds out whether JSR can be reached.
 *
 * @module
 */

import { fileURLToPath } from "node:url";

/** Where the project's imports come from. The environment variable `TIDINGS_JSR` can choose one. */
export type Source = "jsr" | "stand-in";

const path = (name: string) => fileURLToPath(new URL(name, import.meta.url));

/** Flags for each Deno subcommand that resolves imports. */
export const importFlags: Record<Source, readonly string[]> = {
  "jsr": [],
  "stand-in": [`--import-map=${path("imports.json")}`, `--lock=${path("deno.lock")}`],
};

/** The flags with another lock file. Deno downloads every package of a lock file, even unused ones. */
export function withLock(flags: readonly string[], lock: string): readonly string[] {
  return flags.map((flag) => flag.startsWith("--lock=") ? `--lock=${lock}` : flag);
}

/**
 * Decides where the imports come from. It asks JSR for the file that Deno would request first.
 *
 * @param timeout How long to wait for JSR, in milliseconds.
 * @returns The value of `TIDINGS_JSR`, otherwise the source that was found.
 * @throws {TypeError} If `TIDINGS_JSR` has another value.
 */
export async function importSource(timeout = 2_000): Promise<Source> {
  const chosen = Deno.env.get("TIDINGS_JSR") || undefined;
  if (chosen === "jsr" || chosen === "stand-in") return chosen;
  if (chosen !== undefined) {
    throw new TypeError(`Cannot choose imports: TIDINGS_JSR is "${chosen}"; set it to "jsr" or "stand-in"`);
  }
  const registry = Deno.env.get("JSR_URL") ?? "https://jsr.io";
  try {
    const response = await fetch(new URL("/@std/assert/meta.json", registry), { signal: AbortSignal.timeout(timeout) });
    await response.body?.cancel();
    return response.ok ? "jsr" : "stand-in";
  } catch {
    // If JSR has no address, no route or no reply in time, Deno could not reach it either.
    return "stand-in";
  }
}

/**
 * Flags for a child process that must resolve imports as this process does. Needs no permission.
 *
 * @example
 * ```ts ignore
 * new Deno.Command(Deno.execPath(), { args: ["run", ...inheritedImportFlags(), "child.ts"] });
 * ```
 */
export function inheritedImportFlags(): readonly string[] {
  return importFlags[import.meta.resolve("@std/assert").startsWith("jsr:") ? "jsr" : "stand-in"];
}
