import { fileURLToPath } from "node:url";
import { inheritedImportFlags } from "../../offline/imports.ts";

/** How an example ended. */
export interface Ended {
  code: number;
  stdout: string;
  stderr: string;
}

/** Starts an example as README says, with permission for one directory, or for nothing. */
export function start(name: string, options: readonly string[], directory?: string): Deno.ChildProcess {
  const permissions = directory === undefined ? [] : [`--allow-read=${directory}`, `--allow-write=${directory}`];
  const file = fileURLToPath(new URL(`../../examples/${name}.ts`, import.meta.url));
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--no-prompt", ...inheritedImportFlags(), ...permissions, file, ...options],
    // Whoever runs the tests may have it set, and a pipe is to be plain by itself.
    env: { NO_COLOR: "" },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

/** Runs an example to its end. */
export async function run(name: string, options: readonly string[], directory?: string): Promise<Ended> {
  const { code, stdout, stderr } = await start(name, options, directory).output();
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}
