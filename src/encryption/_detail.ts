import { MAX_DEPTH } from "../events/_lossless.ts";

/** The keys and indexes that lead from a detail to a value in it. */
export type Path = readonly (string | number)[];

/** The only key of the object that replaces an encrypted value. */
export const MARK = "$enc";

/** A value in a detail, and its path. */
export interface Found {
  readonly value: unknown;
  readonly path: Path;
}

/** The values at the dotted paths. A path applies to each element of an array. A path without a value is left out. */
export function foundAt(detail: unknown, paths: readonly string[]): Found[] {
  const found: Found[] = [];
  const visit = (value: unknown, keys: readonly string[], path: Path): void => {
    const [key, ...rest] = keys;
    if (key === undefined) return void found.push({ value, path });
    if (Array.isArray(value)) {
      for (const [index, item] of value.entries()) visit(item, keys, [...path, index]);
    } else if (isObject(value) && Object.hasOwn(value, key)) visit(value[key], rest, [...path, key]);
  };
  // Shorter paths first: a path inside another one is left out, since its value is encrypted with the outer one.
  const byLength = paths.map((path) => path.split(".")).toSorted((a, b) => a.length - b.length);
  const outer = byLength.filter((keys, nth) =>
    !byLength.slice(0, nth).some((other) => other.every((key, at) => key === keys[at]))
  );
  for (const keys of outer) visit(detail, keys, []);
  return found;
}

/** All objects with the key {@linkcode MARK}. @throws {RangeError} If the detail is nested too deep. */
export function marksIn(detail: unknown): Found[] {
  const found: Found[] = [];
  const visit = (value: unknown, path: Path): void => {
    if (typeof value !== "object" || value === null) return;
    if (path.length > MAX_DEPTH) throw new RangeError(`it is nested more than ${MAX_DEPTH} levels deep`);
    if (Array.isArray(value)) return value.forEach((item, index) => visit(item, [...path, index]));
    if (Object.hasOwn(value, MARK)) found.push({ value, path });
    else for (const [key, inner] of Object.entries(value)) visit(inner, [...path, key]);
  };
  visit(detail, []);
  return found;
}

/** A copy of the detail with the given values at their paths. Other parts are shared with the original. */
export function withValues(detail: unknown, values: readonly Found[]): unknown {
  let copy = detail;
  const copied = new Set<unknown>();
  for (const { path, value } of values) copy = withValue(copy, path, value, copied);
  return copy;
}

function withValue(container: unknown, path: Path, value: unknown, copied: Set<unknown>): unknown {
  const [key, ...rest] = path;
  if (key === undefined) return value;
  const copy = copied.has(container) ? container : copyOf(container);
  copied.add(copy);
  const inner = withValue((copy as Record<string | number, unknown>)[key], rest, value, copied);
  // An assignment to the key `__proto__` would change the prototype.
  Object.defineProperty(copy, key, { value: inner, writable: true, enumerable: true, configurable: true });
  return copy;
}

function copyOf(container: unknown): unknown {
  return Array.isArray(container) ? [...container] : { ...container as object };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}

/** A path as text, such as `detail.cards.0.token`. */
export function pathText(path: Path): string {
  return ["detail", ...path].join(".");
}
