import { parse } from "npm:yaml@^2";
import { root } from "../structure/_imports.ts";

/** A rule of monitoring/rules.yml. */
export interface Rule {
  readonly record?: string;
  readonly alert?: string;
  readonly expr: string;
  readonly for?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
}

/** A file of rules. */
export interface RuleFile {
  groups: { name: string; rules: Rule[] }[];
}

/** Where the rules are. */
export const RULES = new URL("monitoring/rules.yml", root);

/** Reads monitoring/rules.yml. */
export function readRules(): RuleFile {
  return parse(Deno.readTextFileSync(RULES));
}

/** Runs promtool, and fails with its output if it finds a fault. */
export async function promtool(...args: readonly string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command("promtool", { args: [...args] }).output();
  const output = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes)).join("");
  if (!success) throw new Error(`promtool ${args.join(" ")} failed:\n${output}`);
  return output;
}
