/**
 * Safe reading of values from outside: a thrown value, a result, an option. Such a value may be a Proxy or have getters
 * that throw. No function here throws.
 *
 * @module
 */

/** The longest text that is kept of a foreign value, in characters. */
export const MAX_TEXT = 10_000;

/** `value instanceof Class`; false where a Proxy throws. */
export function isInstance<T>(value: unknown, Class: abstract new (...args: never[]) => T): value is T {
  try {
    return value instanceof Class;
  } catch {
    return false;
  }
}

/** A property of a value; undefined where there is none or its getter throws. */
export function readProperty(value: unknown, name: string): unknown {
  try {
    return (value as Record<string, unknown> | null | undefined)?.[name];
  } catch {
    return undefined;
  }
}

/** A property that is a non-empty string, shortened to {@linkcode MAX_TEXT}. */
export function readText(value: unknown, name: string): string | undefined {
  const text = readProperty(value, name);
  if (typeof text !== "string" || text === "") return undefined;
  return text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}…` : text;
}

/** The promise-like that a function returned; undefined for any other value. Throws what its `then` getter throws. */
export function thenable(value: unknown): PromiseLike<unknown> | undefined {
  if (typeof value !== "object" && typeof value !== "function" || value === null) return undefined;
  return typeof (value as PromiseLike<unknown>).then === "function" ? value as PromiseLike<unknown> : undefined;
}
