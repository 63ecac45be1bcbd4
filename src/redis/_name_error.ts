import { StoreError } from "../store/mod.ts";

/** What a script means by NAMETAKEN; any other error as it is. */
export function nameError(error: unknown, stream: string, group: string): unknown {
  const taken = /NAMETAKEN (\S+)\.(\S+) (\d+)/.exec(error instanceof Error ? error.message : "");
  if (taken === null) return error;
  const [, name, incarnation, left] = taken;
  return new StoreError(
    "name-taken",
    `Cannot be in group "${group}" of ${stream} as "${name}": ${name}.${incarnation} is alive under that name for ` +
      `another ${left} ms; close it, or take another name`,
    { cause: error },
  );
}
