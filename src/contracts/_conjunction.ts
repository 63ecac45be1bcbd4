import { isObject, type JsonSchema, type Keywords, pointedTo } from "./_schema.ts";

/** Objects of keywords that a value meets all of, without `allOf` and without each `$ref` that could be followed. */
export type Conjunction = readonly Keywords[];

/**
 * The keywords that a value of this schema meets; undefined if no value can. A reference that cannot be followed stays: its
 * writer may write anything, and whether its reader accepts a value cannot be told.
 */
export function conjunctionOf(schema: JsonSchema, root: unknown): Conjunction | undefined {
  const found: Keywords[] = [];
  const add = (part: unknown, way: readonly unknown[]): boolean => {
    if (part === true) return true;
    if (!isObject(part)) return part !== false;
    const { $ref, allOf, ...rest } = part;
    const target = $ref === undefined || way.includes(part) ? undefined : pointedTo(root, $ref);
    found.push(target === undefined && $ref !== undefined ? { ...rest, $ref } : rest);
    if (target !== undefined && !add(target, [...way, part])) return false;
    return !Array.isArray(allOf) || allOf.every((each) => add(each, [...way, part]));
  };
  return add(schema, []) ? found.filter((keywords) => Object.keys(keywords).length > 0) : undefined;
}

/** The type of a value, "integer" for whole numbers. */
export function typeOf(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "array";
  return Number.isInteger(value) ? "integer" : typeof value;
}
