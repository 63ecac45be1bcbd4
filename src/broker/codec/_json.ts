import { MAX_DEPTH } from "../../events/_lossless.ts";

// In characters: far more than can be published, and far less than a process has memory for.
const MAX_LENGTH = 64 * 2 ** 20;
const MAY_BE_INEXACT = /\d{16}|\d[eE]\+?\d{3}/;

const [QUOTE, BACKSLASH, BRACKET, BRACKET_END, BRACE, BRACE_END] = [34, 92, 91, 93, 123, 125];

/**
 * Parses a JSON text of an entry. Throws a TypeError, which begins with `what`, if a value cannot be read exactly.
 *
 * @param isSensitive Whether the text has sensitive values: the error quotes none of it.
 */
export function parseJson(what: string, text: string, isSensitive = false): unknown {
  if (text === "") throw new TypeError(`${what} is empty`);
  if (text.length > MAX_LENGTH) {
    throw new TypeError(`${what} has ${text.length} characters, and at most ${MAX_LENGTH} are read`);
  }
  if (text.length > 2 * MAX_DEPTH && isDeep(text)) {
    throw new TypeError(`${what} is nested more than ${MAX_DEPTH} levels deep`);
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    if (isSensitive) throw new TypeError(`${what} is no JSON`);
    throw new TypeError(`${what} is no JSON: ${(error as Error).message}`, { cause: error });
  }
  // Parsing with a reviver is slow, so it is done only if a number may be inexact.
  if (MAY_BE_INEXACT.test(text)) {
    JSON.parse(text, (key, value, ...rest) => checkNumber(what, key, value, rest, isSensitive));
  }
  return value;
}

/** Refuses a number that a JavaScript number cannot hold exactly. */
function checkNumber(
  what: string,
  key: string,
  value: unknown,
  [context]: readonly { source?: string }[],
  isSensitive: boolean,
): unknown {
  if (typeof value !== "number") return value;
  const source = context?.source;
  const exact = Number.isFinite(value) &&
    // Every language reads a float as the nearest double. An integer must be the same number after reading.
    (source === undefined || !/^-?\d+$/.test(source) || String(value) === source || BigInt(source) === BigInt(value));
  if (exact) return value;
  if (isSensitive) throw new TypeError(`${what} has a number that cannot be read exactly`);
  const where = key === "" ? "" : ` at ${JSON.stringify(key.slice(0, 60))}`;
  throw new TypeError(
    `${what} has a number${where} that cannot be read exactly, ${(source ?? String(value)).slice(0, 60)}`,
  );
}

/**
 * Whether arrays and objects of a JSON text are nested deeper than `publish` allows: a recursive function would overflow
 * the stack. Looks at the text only, before it is parsed.
 */
function isDeep(text: string): boolean {
  let depth = 0;
  for (let at = 0; at < text.length; at++) {
    switch (text.charCodeAt(at)) {
      case QUOTE:
        at = endOfString(text, at);
        break;
      case BRACKET:
      case BRACE:
        if (++depth > MAX_DEPTH) return true;
        break;
      case BRACKET_END:
      case BRACE_END:
        depth--;
    }
  }
  return false;
}

function endOfString(text: string, start: number): number {
  for (let end = text.indexOf('"', start + 1); end !== -1; end = text.indexOf('"', end + 1)) {
    let escapes = 0;
    while (text.charCodeAt(end - 1 - escapes) === BACKSLASH) escapes++;
    if (escapes % 2 === 0) return end;
  }
  return text.length;
}
