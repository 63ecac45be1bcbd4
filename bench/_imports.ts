import { fileURLToPath } from "node:url";
import { inheritedImportFlags, withLock } from "../offline/imports.ts";

/** The lock file of the bench. */
export const LOCK = path("deno.lock");

/** Arguments of Deno that run a program of the bench in a child process, with the imports of this process. */
export function programArgs(program: string): string[] {
  return ["run", "-A", "--quiet", "--no-prompt", ...withLock(inheritedImportFlags(), LOCK), path(program)];
}

function path(name: string): string {
  return fileURLToPath(new URL(name, import.meta.url));
}
