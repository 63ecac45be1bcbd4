import { fileURLToPath } from "node:url";
import { inheritedImportFlags, withLock } from "../offline/imports.ts";

/** The lock file of the bench. */
export const LOCK = path("deno.lock");

/** Arguments by which another process runs a program of the bench, with the imports of this one. */
export function programArgs(program: string): string[] {
  return ["run", "-A", "--quiet", "--no-prompt", ...withLock(inheritedImportFlags(), LOCK), path(program)];
}

function path(name: string): string {
  return fileURLToPath(new URL(name, import.meta.url));
}
