/**
 * Reads values that other code made: thrown values, results, options. Such a value may be a Proxy, or have getters that
 * throw. Of these functions only `thenable` throws.
 *
 * @module
 */

/** The longest text that is kept of a foreign value, in characters. */
export const MAX_TEXT = 10_000;

/** `value instanceof Class`; false if a Proxy throws. */
export function isInstance<T>(value: unknown, Class: abstract new (...args: never[]) => T): value is T {
  try {
    return value instanceof Class;
  } catch {
    return false;
  }
}

/** A property of a value; undefined if there is none or its getter throws. */
export function readProperty(value: unknown, name: PropertyKey): unknown {
  try {
    return (value as Record<PropertyKey, unknown> | null | undefined)?.[name];
  } catch {
    return undefined;
  }
}

/** The time of a Date in milliseconds since the epoch; NaN for an invalid Date and for any other value. */
export function timeIn(value: unknown): number {
  try {
    return Date.prototype.getTime.call(value);
  } catch {
    return NaN;
  }
}

/** The text, shortened to {@linkcode MAX_TEXT} characters. */
export function shorten(text: string): string {
  return text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}…` : text;
}

/** A property that is a non-empty string, shortened. */
export function readText(value: unknown, name: string): string | undefined {
  const text = readProperty(value, name);
  return typeof text === "string" && text !== "" ? shorten(text) : undefined;
}

/** Whether a value is an Error, or looks like one: an Error of another realm, such as a `node:vm` context, is no `Error` here. */
export function isErrorLike(value: unknown): boolean {
  return isInstance(value, Error) || readText(value, "message") !== undefined;
}

/** How many causes of an error are read. Causes may form a circle. */
const MAX_CAUSES = 20;

/** How many values `reportable` reads, including causes and the parts of an AggregateError, which may never end. */
const MAX_READ = 1_000;

/** An error and its causes, outermost first, up to the first cause that is not an Error. Yields at most 20. */
export function* errorChain(error: unknown): Generator<Error> {
  let at = error;
  for (let depth = 0; depth < MAX_CAUSES && isInstance(at, Error); depth++) {
    yield at;
    at = readProperty(at, "cause");
  }
}

/**
 * The value if the platform can report it, otherwise an Error that replaces it. Reporting a Proxy or an error with throwing
 * getters would end the process, even if the program listens for reported errors.
 */
export function reportable(error: unknown): unknown {
  try {
    readAll(error, { left: MAX_READ });
    // Of a value that is no Error, Deno calls inspection methods to report it.
    if (!(error instanceof Error)) (globalThis as { Deno?: { inspect(value: unknown): string } }).Deno?.inspect(error);
    if (error !== undefined && error !== null) return error;
  } catch {
    return unreadable();
  }
  return new Error(`Cannot show a thrown value: it is ${error}; throw an Error`);
}

/** The error that replaces a value whose getters or methods throw. */
export function unreadable(): Error {
  return new Error("Cannot show a thrown value: reading it threw; throw an Error");
}

/** Reads all properties that the platform reads to report an error, so that a throwing getter throws here. */
function readAll(error: unknown, budget: { left: number }): void {
  if (budget.left-- <= 0 || !(error instanceof Error)) return;
  void [error.name, error.message, error.stack];
  readAll(error.cause, budget);
  if (!(error instanceof AggregateError)) return;
  for (const inner of error.errors) {
    if (budget.left <= 0) return;
    readAll(inner, budget);
  }
}

/** The value if it is a promise or has a `then` method; otherwise undefined. Throws if its `then` getter throws. */
export function thenable(value: unknown): PromiseLike<unknown> | undefined {
  if (typeof value !== "object" && typeof value !== "function" || value === null) return undefined;
  return typeof (value as PromiseLike<unknown>).then === "function" ? value as PromiseLike<unknown> : undefined;
}
