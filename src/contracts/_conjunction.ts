import { isObject, type JsonSchema, type Keywords, pointedTo } from "./_schema.ts";

/** Objects of keywords; a value must meet all of them. `allOf`, and each `$ref` that can be followed, are resolved. */
export type Conjunction = readonly Keywords[];

/**
 * The keywords that a value of this schema meets; undefined if no value can. A reference that cannot be followed stays in
 * the result: a writer with it may write anything, and it is unknown whether a reader with it accepts a value.
 */
export function conjunctionOf(schema: JsonSchema, root: unknown): Conjunction | undefined {
  const found: Keywords[] = [];
  const add = (part: unknown, parents: readonly unknown[]): boolean => {
    if (part === true) return true;
    if (!isObject(part)) return part !== false;
    const { $ref, allOf, ...rest } = part;
    const target = $ref === undefined || parents.includes(part) ? undefined : pointedTo(root, $ref);
    found.push(target === undefined && $ref !== undefined ? { ...rest, $ref } : rest);
    if (target !== undefined && !add(target, [...parents, part])) return false;
    return !Array.isArray(allOf) || allOf.every((each) => add(each, [...parents, part]));
  };
  return add(schema, []) ? found.filter((keywords) => Object.keys(keywords).length > 0) : undefined;
}

/** The type of a value, "integer" for whole numbers. */
export function typeOf(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "array";
  return Number.isInteger(value) ? "integer" : typeof value;
}
