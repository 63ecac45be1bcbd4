import { reasonOf } from "./_check.ts";
import { type Mask, MASKED } from "./_mask.ts";

/** How many levels of arrays and objects a detail may have. */
export const MAX_DEPTH = 500;
const MAX_PATH = 120;
const IDENTIFIER = /^[\p{ID_Start}$_][\p{ID_Continue}$]*$/u;

type Key = string | number;

/** A value that JSON would lose or change. */
interface Loss {
  reason: string;
  /** The reason without names that may be sensitive; by default the same. */
  readonly masked?: string;
  /** The keys that lead to the value, innermost first until the search has returned. */
  readonly path: Key[];
  /** The objects around the value. Collected only if it is nested too deep, to find one that contains itself. */
  readonly around: object[] | undefined;
}

/**
 * The JSON text of a detail. Throws a TypeError that names the path of the first value that JSON would lose or change.
 * Properties that are `undefined` are left out, as JSON does.
 *
 * @param mask The sensitive paths: the error names no key below one.
 */
export function encodeDetail(detail: unknown, mask?: Mask): string {
  let loss: Loss | undefined;
  try {
    loss = detail === undefined ? undefined : lossIn(detail, 0);
    if (loss === undefined) return JSON.stringify(detail) ?? "null";
  } catch (error) {
    // A getter, a Proxy or a toJSON() threw.
    throw new TypeError(`Cannot encode detail: reading it threw: ${reasonOf(error)}; give plain data`, {
      cause: error,
    });
  }
  throw lossError(loss, mask);
}

// Losses are searched before JSON.stringify runs, because a replacer function would cost several times as much.
function lossIn(value: unknown, depth: number): Loss | undefined {
  switch (typeof value) {
    case "string":
    case "boolean":
      return undefined;
    case "number":
      return Number.isFinite(value)
        ? undefined
        : lossAt(`it is ${value}, which JSON turns into null; give null or a string`);
    case "object":
      if (value === null) return undefined;
      if (depth >= MAX_DEPTH) return { reason: "", path: [], around: [value] };
      return Array.isArray(value) ? lossInArray(value, depth) : lossInObject(value, depth);
    default:
      return lossAt(PRIMITIVES[typeof value as keyof typeof PRIMITIVES]);
  }
}

const PRIMITIVES = {
  bigint: "it is a bigint, which JSON cannot express; give a string",
  function: "it is a function, which JSON leaves out; leave it out",
  symbol: "it is a symbol, which JSON leaves out; give a string",
  undefined: "it is undefined, which JSON turns into null inside an array; give null",
};

function lossInArray(array: readonly unknown[], depth: number): Loss | undefined {
  // Array.prototype is itself an array, in every realm; the prototype of a subclass is not.
  if (!Array.isArray(Object.getPrototypeOf(array))) return lossAt(`it is ${instanceName(array)}; give a plain array`);
  for (let index = 0; index < array.length; index++) {
    const loss = lossIn(array[index], depth + 1);
    if (loss === undefined) continue;
    if (!(index in array)) loss.reason = "it is an empty slot, which JSON turns into null; give null";
    return within(array, index, loss);
  }
  return extraKeyOf(array);
}

function extraKeyOf(array: readonly unknown[]): Loss | undefined {
  // Object.keys() lists indices first, so a named property, if any, is the last key.
  const keys = Object.keys(array);
  if (keys.length === array.length) return lossInSymbols(array);
  return within(array, keys.at(-1)!, lossAt("it is a named property of an array, which JSON leaves out; leave it out"));
}

function lossInObject(object: object, depth: number): Loss | undefined {
  const prototype = Object.getPrototypeOf(object);
  if (prototype !== Object.prototype && prototype !== null && !isObjectPrototype(prototype)) {
    return lossAt(instanceReason(object));
  }
  for (const key in object) {
    const value = (object as Record<string, unknown>)[key];
    if (value === undefined) continue;
    const loss = lossIn(value, depth + 1);
    // The loop also enumerates properties that were added to Object.prototype; JSON does not.
    if (loss !== undefined && Object.hasOwn(object, key)) return within(object, key, loss);
  }
  return lossInSymbols(object);
}

function lossInSymbols(object: object): Loss | undefined {
  const symbols = Object.getOwnPropertySymbols(object);
  if (symbols.length === 0) return undefined;
  const symbol = symbols.find((symbol) => Object.prototype.propertyIsEnumerable.call(object, symbol));
  if (symbol === undefined) return undefined;
  const reason = (key: string) => `it has ${key}, which JSON leaves out; use strings as keys`;
  return { ...lossAt(reason(`the key ${String(symbol)}`)), masked: reason("a symbol as a key") };
}

/** Whether the object is the `Object.prototype` of another realm, such as a frame or a `node:vm` context. */
function isObjectPrototype(prototype: object): boolean {
  return Object.getPrototypeOf(prototype) === null && Object.hasOwn(prototype, "isPrototypeOf");
}

function instanceReason(object: object): string {
  const name = instanceName(object);
  if (object instanceof Date) return `it is ${name}; give toISOString() or milliseconds`;
  if (object instanceof Map) return `it is ${name}; give Object.fromEntries(map) or [...map]`;
  if (object instanceof Set) return `it is ${name}; give [...set]`;
  if (ArrayBuffer.isView(object) || object instanceof ArrayBuffer) {
    return `it is ${name}; give base64 text or an array of numbers`;
  }
  return `it is ${name}, which JSON cannot restore; give a plain object`;
}

function instanceName(object: object): string {
  const name = object.constructor?.name;
  return typeof name === "string" && name !== "" ? `an instance of ${name}` : "an instance of a class";
}

function lossAt(reason: string): Loss {
  return { reason, path: [], around: undefined };
}

function within(container: object, key: string | number, loss: Loss): Loss {
  loss.path.push(key);
  loss.around?.push(container);
  return loss;
}

function lossError({ reason, masked, path, around }: Loss, mask: Mask | undefined): TypeError {
  path.reverse();
  const errorAt = (keys: readonly Key[], why: string) => new TypeError(`Cannot encode ${pathText(keys, mask)}: ${why}`);
  if (around === undefined) return errorAt(path, openKeys(path, mask) === Infinity ? reason : masked ?? reason);
  around.reverse();
  // Cycles are not searched for on the way down. A cycle is found here, because it is nested too deep.
  const seen = new Map<object, number>();
  for (const [depth, object] of around.entries()) {
    const first = seen.get(object);
    if (first !== undefined) {
      return errorAt(
        path.slice(0, depth),
        `it is the same object as ${pathText(path.slice(0, first), mask)}, a cycle; give its id instead`,
      );
    }
    seen.set(object, depth);
  }
  return errorAt(path, `it is nested more than ${MAX_DEPTH} levels deep; give a flatter detail`);
}

/** A path to be shown, up to the sensitive key in it. */
function pathText(path: readonly Key[], mask: Mask | undefined): string {
  const open = openKeys(path, mask);
  let text = "detail";
  for (const key of path.slice(0, open)) {
    if (text.length > MAX_PATH) return `${text}…`;
    if (typeof key === "number") text += `[${key}]`;
    else if (key.length <= MAX_PATH && IDENTIFIER.test(key)) text += `.${key}`;
    else text += `[${JSON.stringify(key.length > MAX_PATH ? `${key.slice(0, MAX_PATH)}…` : key)}]`;
  }
  return open < path.length ? `${text}.${MASKED}` : text;
}

/** How many keys of a path may be shown: those up to the key of a sensitive value. */
function openKeys(path: readonly Key[], mask: Mask | undefined): number {
  let rule: Mask | true | undefined = mask;
  for (const [depth, key] of path.entries()) {
    // A sensitive path leads through arrays into each element.
    if (typeof key === "string") rule = rule?.get(key);
    if (rule === true) return depth + 1;
  }
  return Infinity;
}
