import type { Conjunction } from "./_conjunction.ts";
import type { Gap, Place } from "./_gap.ts";
import { hasKeyword } from "./_writer.ts";

/** The types of values that a keyword applies to. */
const APPLIES_TO: Readonly<Record<string, RegExp>> = {
  minimum: /^(number|integer)$/,
  maximum: /^(number|integer)$/,
  exclusiveMinimum: /^(number|integer)$/,
  exclusiveMaximum: /^(number|integer)$/,
  multipleOf: /^(number|integer)$/,
  minLength: /^string$/,
  maxLength: /^string$/,
  pattern: /^string$/,
  format: /^string$/,
};

/** The gaps of a keyword for numbers or strings; undefined for any other keyword. */
export function scalarFindings({ all, type, keyword, limit, path }: Place): Gap[] | undefined {
  if (!Object.hasOwn(APPLIES_TO, keyword)) return undefined;
  if (!APPLIES_TO[keyword]!.test(type) || hasKeyword(all, keyword, limit) || proven(all, type, keyword, limit)) {
    return [];
  }
  // Two different patterns may match the same texts, which cannot be decided here.
  const other = all.some((each) => Object.hasOwn(each, keyword));
  const verdict = other && (keyword === "pattern" || keyword === "format" || keyword === "multipleOf")
    ? "unknown"
    : "breaks";
  const message = verdict === "breaks"
    ? `${keyword} ${JSON.stringify(limit)} is not guaranteed`
    : `cannot tell whether ${keyword} ${JSON.stringify(limit)} holds`;
  return [{ verdict, path, message }];
}

/** Whether a limit of the writer is at least as strict as the reader's. */
function proven(all: Conjunction, type: string, keyword: string, limit: unknown): boolean {
  if (typeof limit !== "number") return false;
  const any = (name: string, holds: (value: number) => boolean): boolean =>
    all.some((each) => typeof each[name] === "number" && holds(each[name]));
  switch (keyword) {
    case "minimum":
      return any("minimum", (is) => is >= limit) || any("exclusiveMinimum", (is) => is >= limit);
    case "exclusiveMinimum":
      return any("minimum", (is) => is > limit) || any("exclusiveMinimum", (is) => is >= limit);
    case "maximum":
      return any("maximum", (is) => is <= limit) || any("exclusiveMaximum", (is) => is <= limit);
    case "exclusiveMaximum":
      return any("maximum", (is) => is < limit) || any("exclusiveMaximum", (is) => is <= limit);
    case "minLength":
      return limit <= 0 || any("minLength", (is) => is >= limit);
    case "maxLength":
      return any("maxLength", (is) => is <= limit);
    case "multipleOf":
      return limit === 1 && type === "integer" ||
        Number.isInteger(limit) && any("multipleOf", (is) => Number.isInteger(is) && is % limit === 0);
  }
  return false;
}
