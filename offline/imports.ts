/**
 * Which imports the project runs with: those of imports.json where JSR can be reached, else the stand-ins of offline/imports.json.
 *
 * Nothing here may come from JSR, since this is what decides whether JSR is there.
 *
 * @module
 */

import { fileURLToPath } from "node:url";

/** Where the project's imports come from; the environment variable `TIDINGS_JSR` holds one of them to decide for good. */
export type Source = "jsr" | "stand-in";

const path = (name: string) => fileURLToPath(new URL(name, import.meta.url));

/** Flags for each Deno subcommand that resolves imports. */
export const importFlags: Record<Source, readonly string[]> = {
  "jsr": [],
  "stand-in": [`--import-map=${path("imports.json")}`, `--lock=${path("deno.lock")}`],
};

/** The same flags with another lock file: Deno downloads every package of a lock file, also unused ones. */
export function withLock(flags: readonly string[], lock: string): readonly string[] {
  return flags.map((flag) => flag.startsWith("--lock=") ? `--lock=${lock}` : flag);
}

/**
 * Decides where the imports come from, by asking JSR for the file that Deno would ask for first.
 *
 * @param timeout How long to wait for JSR, in milliseconds.
 * @returns What `TIDINGS_JSR` says, else what was found.
 * @throws {TypeError} If `TIDINGS_JSR` is neither.
 */
export async function importSource(timeout = 2_000): Promise<Source> {
  const told = Deno.env.get("TIDINGS_JSR") || undefined;
  if (told === "jsr" || told === "stand-in") return told;
  if (told !== undefined) {
    throw new TypeError(`Cannot choose imports: TIDINGS_JSR is "${told}", not "jsr" or "stand-in"`);
  }
  const registry = Deno.env.get("JSR_URL") ?? "https://jsr.io";
  try {
    const response = await fetch(new URL("/@std/assert/meta.json", registry), { signal: AbortSignal.timeout(timeout) });
    await response.body?.cancel();
    return response.ok ? "jsr" : "stand-in";
  } catch {
    // No name, no route, no answer in time: whatever the reason, Deno would not reach it either.
    return "stand-in";
  }
}

/**
 * Flags for a child that must resolve imports as this process does. Needs no permission.
 *
 * @example
 * ```ts ignore
 * new Deno.Command(Deno.execPath(), { args: ["run", ...inheritedImportFlags(), "child.ts"] });
 * ```
 */
export function inheritedImportFlags(): readonly string[] {
  return importFlags[import.meta.resolve("@std/assert").startsWith("jsr:") ? "jsr" : "stand-in"];
}
