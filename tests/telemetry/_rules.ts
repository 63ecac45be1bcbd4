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

/**
 * The same rules, with all times divided by a factor, so that a test need not wait for minutes. Bounds in seconds, such as
 * that of TidingsEventsWaitTooLong, stay.
 */
export function hurried({ groups }: RuleFile, factor: number): RuleFile {
  const shorter = (time: string) => `${Math.round(milliseconds(time) / factor)}ms`;
  return {
    groups: groups.map(({ name, rules }) => ({
      name,
      rules: rules.map((rule) => ({
        ...rule,
        expr: rule.expr.replaceAll(/(?<=\[|offset )\d+[a-z]+/g, shorter),
        ...(rule.for !== undefined && { for: shorter(rule.for) }),
      })),
    })),
  };
}

const UNITS: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000 };

function milliseconds(time: string): number {
  const [, count, unit] = /^(\d+)([smh])$/.exec(time) ?? [];
  const length = UNITS[unit ?? ""];
  if (length === undefined) throw new Error(`Cannot shorten the time ${time} of a rule: it is no number of s, m or h`);
  return Number(count) * length;
}
