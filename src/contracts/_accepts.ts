import { type Conjunction, conjunctionOf, typeOf } from "./_conjunction.ts";
import { isSchema, sameJson } from "./_schema.ts";

/** Keywords that accept any value. */
const ANNOTATIONS = new Set([
  ..."title description default examples deprecated readOnly writeOnly id $comment $schema $defs definitions".split(
    " ",
  ),
  ..."$anchor contentEncoding contentMediaType contentSchema".split(" "),
]);

/** Whether a keyword only describes, and accepts any value. */
export function isAnnotation(keyword: string): boolean {
  return ANNOTATIONS.has(keyword) || keyword.startsWith("x-");
}

/** Whether all keywords accept a value; undefined if that cannot be decided. */
export function accepts(all: Conjunction, value: unknown, root: unknown): boolean | undefined {
  let answer: boolean | undefined = true;
  for (const keywords of all) {
    for (const [keyword, limit] of Object.entries(keywords)) {
      if (isAnnotation(keyword)) continue;
      const holds = accepted(keyword, limit, value, root);
      if (holds === false) return false;
      if (holds === undefined) answer = undefined;
    }
  }
  return answer;
}

function accepted(keyword: string, limit: unknown, value: unknown, root: unknown): boolean | undefined {
  switch (keyword) {
    case "type":
      return (Array.isArray(limit) ? limit : [limit]).some((type) =>
        type === typeOf(value) || type === "number" && typeof value === "number"
      );
    case "const":
      return sameJson(value, limit);
    case "enum":
      return Array.isArray(limit) ? limit.some((each) => sameJson(each, value)) : undefined;
    case "anyOf":
      return Array.isArray(limit) ? anyOf(limit, value, root) : undefined;
    case "oneOf":
      return Array.isArray(limit) ? oneOf(limit, value, root) : undefined;
  }
  return scalar(keyword, limit, value);
}

function schemaAccepts(schema: unknown, value: unknown, root: unknown): boolean | undefined {
  if (!isSchema(schema)) return undefined;
  const all = conjunctionOf(schema, root);
  return all === undefined ? false : accepts(all, value, root);
}

function anyOf(branches: readonly unknown[], value: unknown, root: unknown): boolean | undefined {
  const answers = branches.map((branch) => schemaAccepts(branch, value, root));
  return answers.includes(true) ? true : answers.includes(undefined) ? undefined : false;
}

function oneOf(branches: readonly unknown[], value: unknown, root: unknown): boolean | undefined {
  const answers = branches.map((branch) => schemaAccepts(branch, value, root));
  if (answers.includes(undefined)) return undefined;
  return answers.filter(Boolean).length === 1;
}

/** Keywords that apply only to arrays and objects. */
const STRUCTURAL =
  /^(properties|required|additionalProperties|propertyNames|items|prefixItems|uniqueItems|(min|max)(Items|Properties))$/;

function scalar(keyword: string, limit: unknown, value: unknown): boolean | undefined {
  if (typeof value === "object" && value !== null) return undefined;
  if (STRUCTURAL.test(keyword)) return true;
  if (keyword === "pattern") return typeof value === "string" ? matches(limit, value) : true;
  // JSON Schema counts characters, not UTF-16 units.
  const size = keyword.endsWith("Length") ? typeof value === "string" ? [...value].length : undefined : value;
  switch (keyword) {
    case "minLength":
    case "minimum":
      return typeof size !== "number" || typeof limit === "number" && size >= limit;
    case "maxLength":
    case "maximum":
      return typeof size !== "number" || typeof limit === "number" && size <= limit;
    case "exclusiveMinimum":
      return typeof size !== "number" || typeof limit === "number" && size > limit;
    case "exclusiveMaximum":
      return typeof size !== "number" || typeof limit === "number" && size < limit;
    case "multipleOf":
      if (typeof value !== "number") return true;
      return Number.isSafeInteger(value) && Number.isSafeInteger(limit) ? value % (limit as number) === 0 : undefined;
  }
  return undefined;
}

function matches(pattern: unknown, value: string): boolean | undefined {
  try {
    return new RegExp(String(pattern), "u").test(value);
  } catch {
    // An invalid pattern in JavaScript may be valid in another language.
    return undefined;
  }
}
