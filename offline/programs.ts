/**
 * Finds programs on the PATH, and installs Debian's packages where that is possible.
 *
 * @module
 */
import { delimiter, join } from "node:path";

/** The path of a program in a directory of the PATH; undefined if there is none. */
export function findProgram(name: string): string | undefined {
  const directories = (Deno.env.get("PATH") ?? "").split(delimiter).filter(Boolean);
  return directories.map((directory) => join(directory, name)).find(isFile);
}

/** Whether `installPackage` can work: root runs this on Debian or Ubuntu. */
export function canInstall(): boolean {
  return Deno.build.os === "linux" && Deno.uid() === 0 && findProgram("apt-get") !== undefined;
}

// Debian asks this file whether a package may start its server. The server would take a port that may be needed for another.
const POLICY = "/usr/sbin/policy-rc.d";

/**
 * Installs a package of Debian, without starting the server that it may contain.
 *
 * @param advice Other ways to get it, for the message of the error.
 * @throws {Error} If apt-get fails; the message has its output.
 */
export async function installPackage(name: string, advice: string, signal?: AbortSignal): Promise<void> {
  const isOurs = !isFile(POLICY);
  if (isOurs) {
    await Deno.writeTextFile(POLICY, "#!/bin/sh\n# Needed during one installation only; may be removed.\nexit 101\n", {
      mode: 0o755,
    });
  }
  try {
    for (const args of [["update"], ["install", "--yes", "--no-install-recommends", name]]) {
      const output = await apt(args, signal);
      if (output === undefined) continue;
      throw new Error(`Cannot install the package ${name}: apt-get ${args[0]} failed\n${output}\n${advice}`);
    }
  } finally {
    if (isOurs) await Deno.remove(POLICY);
  }
}

/** Runs apt-get. Returns its output if it fails. */
async function apt(args: readonly string[], signal: AbortSignal | undefined): Promise<string | undefined> {
  const { success, stdout, stderr } = await new Deno.Command("apt-get", {
    args: ["-q", "-o", "DPkg::Lock::Timeout=120", ...args],
    env: { DEBIAN_FRONTEND: "noninteractive" },
    stdin: "null",
    ...(signal && { signal }),
  }).output();
  if (success) return undefined;
  return [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes)).join("").trim();
}

function isFile(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}
