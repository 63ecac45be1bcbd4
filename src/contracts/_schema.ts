/** A JSON Schema of draft 2020-12: a plain JSON value. */
export type JsonSchema = boolean | { readonly [keyword: string]: unknown };

/** A schema that is an object of keywords. */
export type Keywords = { readonly [keyword: string]: unknown };

/** Whether the value is an object, and not an array. */
export function isObject(value: unknown): value is Keywords {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Whether the value can be a schema. */
export function isSchema(value: unknown): value is JsonSchema {
  return typeof value === "boolean" || isObject(value);
}

/** Whether two JSON values are equal, regardless of the order of their keys. */
export function sameJson(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (Array.isArray(a) && Array.isArray(b)) {
    return a.length === b.length && a.every((entry, at) => sameJson(entry, b[at]));
  }
  if (!isObject(a) || !isObject(b)) return false;
  const [left, right] = [Object.keys(a), Object.keys(b)];
  return left.length === right.length && left.every((key) => Object.hasOwn(b, key) && sameJson(a[key], b[key]));
}

/** A key as a part of a JSON pointer in a URI fragment. */
export function pointerPart(key: string): string {
  return encodeURIComponent(key.replaceAll("~", "~0").replaceAll("/", "~1"));
}

/** The schema that a reference such as `#/$defs/X` points to; undefined if the document has no schema there. */
export function pointedTo(root: unknown, ref: unknown): JsonSchema | undefined {
  if (ref === "#") return isSchema(root) ? root : undefined;
  if (typeof ref !== "string" || !ref.startsWith("#/")) return undefined;
  let at: unknown = root;
  // A reference with an invalid escape is used literally, and so points to no schema.
  const pointer = /%(?![\da-f]{2})/i.test(ref) ? ref : decodeURIComponent(ref);
  for (const part of pointer.slice(2).split("/")) {
    const key = part.replaceAll("~1", "/").replaceAll("~0", "~");
    if (typeof at !== "object" || at === null || !Object.hasOwn(at, key)) return undefined;
    at = (at as Record<string, unknown>)[key];
  }
  return isSchema(at) ? at : undefined;
}

/** Keywords whose values are data, in which `$ref` is not a reference. */
const DATA = new Set(["const", "enum", "default", "examples"]);

/** Keywords whose values are schemas by name. */
const NAMED = new Set(["properties", "patternProperties", "dependentSchemas", "$defs", "definitions"]);

/** A copy with each reference into the document replaced by the result of `move`. */
export function withReferences(schema: unknown, move: (ref: string) => string): unknown {
  if (Array.isArray(schema)) return schema.map((entry) => withReferences(entry, move));
  if (!isObject(schema)) return schema;
  return mapped(schema, (value, key) => {
    if (DATA.has(key)) return value;
    if (key === "$ref" && typeof value === "string" && value.startsWith("#")) return move(value);
    if (NAMED.has(key) && isObject(value)) return mapped(value, (named) => withReferences(named, move));
    return withReferences(value, move);
  });
}

function mapped(object: Keywords, change: (value: unknown, key: string) => unknown): Keywords {
  return Object.fromEntries(Object.entries(object).map(([key, value]) => [key, change(value, key)]));
}
