import { isErrorLike, isInstance, readProperty, readText, shorten } from "./_foreign.ts";

interface Bounds {
  readonly min: number;
  readonly max?: number;
  readonly integer?: boolean;
}

/** Throws a RangeError unless `value` is a number within the bounds; the message calls it `name`. */
export function checkNumber(name: string, value: number, { min, max = Infinity, integer = false }: Bounds): void {
  const isValid = typeof value === "number" && value >= min && value <= max &&
    (!integer || value === Infinity && max === Infinity || Number.isInteger(value));
  if (isValid) return;
  const kind = integer ? "an integer" : "a number";
  const upper = max === Infinity ? "" : ` and at most ${max}`;
  throw new RangeError(`Cannot use ${show(value)} as ${name}: give ${kind} of at least ${min}${upper}`);
}

/** Throws a TypeError unless `signal` is undefined or an AbortSignal that can be read. */
export function checkSignal(signal: unknown): void {
  if (signal === undefined) return;
  // A Proxy of an AbortSignal may be an instance of it and throw when it is read.
  if (isInstance(signal, AbortSignal) && typeof readProperty(signal, "aborted") === "boolean") return;
  throw new TypeError(`Cannot use ${show(signal)} as signal: give an AbortSignal, such as controller.signal`);
}

/** Throws a TypeError that names the first key of `options` that is not in `known`; the message says that `action` failed. */
export function checkKeys(action: string, options: object, known: readonly string[]): void {
  if (typeof options !== "object" || options === null) {
    throw new TypeError(`Cannot ${action}: the options must be an object, not ${show(options)}`);
  }
  const unknown = Object.keys(options).find((key) => !known.includes(key));
  if (unknown !== undefined) {
    throw new TypeError(`Cannot ${action}: unknown option ${show(unknown)}; use only ${known.join(", ")}`);
  }
}

/** The message of an error, or another thrown value as text. Never throws. */
export function reasonOf(error: unknown): string {
  if (!isErrorLike(error)) return typeof error === "string" ? shorten(error) : show(error);
  return readText(error, "message") ?? readText(error, "name") ?? "an error without a message";
}

/** A value as short text for an error message, without the contents of an object. Never throws. */
export function show(value: unknown): string {
  try {
    return shown(value);
  } catch {
    // A Proxy or a getter threw.
    return "an object that cannot be read";
  }
}

function shown(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value.length > 60 ? `${value.slice(0, 60)}…` : value);
  if (typeof value === "function") return `function ${value.name || "(anonymous)"}`;
  if (Array.isArray(value)) return "an array";
  if (typeof value === "object" && value !== null) {
    const name = className(value) || "plain object";
    return `${/^[AEIOU]/.test(name) ? "an" : "a"} ${name}`;
  }
  return typeof value === "bigint" ? `${value}n` : String(value);
}

function className(value: object): string | undefined {
  const { constructor } = value;
  // Compared by name: an object of another realm has another Object.
  return typeof constructor === "function" && constructor.name !== "Object" ? constructor.name : undefined;
}
