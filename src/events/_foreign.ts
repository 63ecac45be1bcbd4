/**
 * Safe reading of values from outside: a thrown value, a result, an option. Such a value may be a Proxy or have getters
 * that throw. Only `thenable` throws.
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

/** The text, shortened to {@linkcode MAX_TEXT} characters. */
export function shorten(text: string): string {
  return text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}…` : text;
}

/** A property that is a non-empty string, shortened. */
export function readText(value: unknown, name: string): string | undefined {
  const text = readProperty(value, name);
  return typeof text === "string" && text !== "" ? shorten(text) : undefined;
}

/** How many causes of an error are looked at: they may form a circle. */
const MAX_CAUSES = 20;

/** How many errors are read before one is reported, causes and parts of an AggregateError included. */
const MAX_READ = 1_000;

/** The error and its causes, from the outside in, as far as they are errors. Causes that form a circle end after some. */
export function* errorChain(error: unknown): Generator<Error> {
  let at = error;
  for (let depth = 0; depth < MAX_CAUSES && isInstance(at, Error); depth++) {
    yield at;
    at = readProperty(at, "cause");
  }
}

/**
 * The value, if the platform can report it; else an Error in its place. Reporting a Proxy or an error with throwing getters
 * would end the process, even where the program listens to reports.
 */
export function reportable(error: unknown): unknown {
  try {
    readAll(error, { left: MAX_READ });
    if (error !== undefined && error !== null) return error;
  } catch {
    return new Error("Cannot show a thrown value: reading it threw; throw an Error");
  }
  return new Error(`Cannot show a thrown value: it is ${error}; throw an Error`);
}

/** Reads of an error what the platform reads to report it, so that a getter throws here. */
function readAll(error: unknown, budget: { left: number }): void {
  if (!(error instanceof Error) || budget.left-- <= 0) return;
  void [error.name, error.message, error.stack];
  readAll(error.cause, budget);
  if (error instanceof AggregateError) { for (const inner of error.errors) readAll(inner, budget); }
}

/** The promise-like that a function returned; undefined for any other value. Throws what its `then` getter throws. */
export function thenable(value: unknown): PromiseLike<unknown> | undefined {
  if (typeof value !== "object" && typeof value !== "function" || value === null) return undefined;
  return typeof (value as PromiseLike<unknown>).then === "function" ? value as PromiseLike<unknown> : undefined;
}
