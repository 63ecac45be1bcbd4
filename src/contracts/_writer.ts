import { accepts } from "./_accepts.ts";
import { type Conjunction, conjunctionOf, typeOf } from "./_conjunction.ts";
import { isObject, isSchema, type JsonSchema, sameJson } from "./_schema.ts";

/** The types of JSON; an integer is a number. */
const TYPES = ["null", "boolean", "number", "string", "array", "object"];

/** The most alternatives that are compared one by one. */
const MOST_ALTERNATIVES = 64;

/** The alternatives of the written schemas, with `anyOf` and `oneOf` resolved; undefined if there are too many. */
export function alternativesOf(schemas: readonly JsonSchema[], root: unknown): Conjunction[] | undefined {
  const parts = schemas.map((schema) => conjunctionOf(schema, root));
  if (parts.includes(undefined)) return [];
  const open: Conjunction[] = [parts.flatMap((part) => part!)];
  const done: Conjunction[] = [];
  while (open.length > 0) {
    if (open.length + done.length > MOST_ALTERNATIVES) return undefined;
    const next = open.pop()!;
    const at = next.findIndex(({ anyOf, oneOf }) => Array.isArray(anyOf) || Array.isArray(oneOf));
    if (at === -1) {
      done.push(next);
      continue;
    }
    const { anyOf, oneOf, ...rest } = next[at]!;
    // `oneOf` is treated as `anyOf`: that the other branches must fail only excludes values.
    const other: Conjunction = Array.isArray(anyOf) && oneOf !== undefined ? [{ oneOf }] : [];
    const branches = Array.isArray(anyOf) ? anyOf : oneOf as unknown[];
    for (const branch of branches) {
      const more = isSchema(branch) ? conjunctionOf(branch, root) : [];
      if (more === undefined) continue;
      open.push([...next.toSpliced(at, 1), ...other, ...more, rest]);
    }
  }
  return done;
}

/** The types of the values that meet these keywords. */
export function typesOf(all: Conjunction): string[] {
  const values = valuesOf(all);
  if (values !== undefined) return [...new Set(values.map(typeOf))];
  let types: string[] = TYPES;
  for (const { type } of all) {
    if (type === undefined) continue;
    const given: unknown[] = Array.isArray(type) ? type : [type];
    const narrowed = types.filter((each) => given.includes(each) || each === "integer" && given.includes("number"));
    if (types.includes("number") && given.includes("integer") && !given.includes("number")) narrowed.push("integer");
    types = narrowed;
  }
  return types;
}

/** All values that these keywords allow; undefined if they do not list the values. */
export function valuesOf(all: Conjunction): unknown[] | undefined {
  let values: unknown[] | undefined;
  for (const keywords of all) {
    if (Object.hasOwn(keywords, "const")) values = [keywords.const];
    else if (Array.isArray(keywords.enum)) values ??= keywords.enum;
  }
  return values?.filter((value) => all.every((each) => accepts([each], value, undefined) !== false));
}

/** Whether no value can meet both; false if that cannot be decided. */
export function disjoint(a: Conjunction, aRoot: unknown, b: Conjunction, bRoot: unknown, depth = 0): boolean {
  const [types, others] = [typesOf(a), typesOf(b)];
  const shared = types.filter((type) =>
    others.includes(type) || type === "integer" && others.includes("number") ||
    type === "number" && others.includes("integer")
  );
  if (shared.length === 0) return true;
  if (valuesOf(a)?.every((value) => accepts(b, value, bRoot) === false)) return true;
  if (valuesOf(b)?.every((value) => accepts(a, value, aRoot) === false)) return true;
  if (depth > 3 || shared.some((type) => type !== "object")) return false;
  const required = new Set([...a, ...b].flatMap((each) => Array.isArray(each.required) ? each.required : []));
  return [...required].some((name) => {
    const [left, right] = [propertyOf(a, name, aRoot), propertyOf(b, name, bRoot)];
    return left !== undefined && right !== undefined && disjoint(left, aRoot, right, bRoot, depth + 1);
  });
}

function propertyOf(all: Conjunction, name: string, root: unknown): Conjunction | undefined {
  const schemas = all.flatMap(({ properties }) =>
    isObject(properties) && Object.hasOwn(properties, name) && isSchema(properties[name]) ? [properties[name]] : []
  );
  const parts = schemas.map((schema) => conjunctionOf(schema, root));
  return parts.length === 0 || parts.includes(undefined) ? undefined : parts.flatMap((part) => part!);
}

/** Whether one of the objects has this keyword with this value. */
export function hasKeyword(all: Conjunction, keyword: string, value: unknown): boolean {
  return all.some((each) => Object.hasOwn(each, keyword) && sameJson(each[keyword], value));
}
