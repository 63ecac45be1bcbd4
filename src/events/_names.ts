import { show } from "./_check.ts";

const MAX_LENGTH = 200;
// Stores use braces and # in their keys, for hash tags and derived names. A lone surrogate has no UTF-8 form.
const MALFORMED = /[\s{}#\p{Cc}\p{Cs}]/u;
const RESERVED_TYPE = /^[a-z]+$/;

/** Throws a TypeError unless `type` can be an event type, and so the name of a stream, in every store. */
export function assertEventType(type: unknown): asserts type is string {
  assertWellFormed("an event type", type);
  if (RESERVED_TYPE.test(type)) {
    throw new TypeError(
      `Cannot use ${
        show(type)
      } as an event type: all-lowercase single words are reserved for the broker's own events; ` +
        `use a name such as ${show(type[0]!.toUpperCase() + type.slice(1, 40))} or ${show(`my.${type.slice(0, 40)}`)}`,
    );
  }
}

/** Throws a TypeError unless `stream` can name a stream that several event types share. */
export function assertStreamName(type: string, stream: unknown): asserts stream is string {
  assertWellFormed(`the stream of ${show(type)}`, stream);
}

const NAMED = { group: "a group name", consumer: "a consumer name", prefix: "a prefix of stream names" };

/** Throws a TypeError unless `name` can name a consumer group or a consumer in every store, or begin stream names. */
export function assertName(kind: keyof typeof NAMED, name: unknown): asserts name is string {
  const what = NAMED[kind];
  assertWellFormed(what, name);
  if (name.startsWith("_")) {
    throw new TypeError(
      `Cannot use ${show(name)} as ${what}: names that start with "_" are reserved; begin with another character`,
    );
  }
}

function assertWellFormed(what: string, name: unknown): asserts name is string {
  const fault = faultOf(name);
  if (fault !== undefined) throw new TypeError(`Cannot use ${show(name)} as ${what}: ${fault}`);
}

function faultOf(name: unknown): string | undefined {
  if (typeof name !== "string") return "it is not a string; give a string";
  if (name === "") return "it is empty; give at least one character";
  if (name.length > MAX_LENGTH) return `it has ${name.length} characters; give at most ${MAX_LENGTH}`;
  const bad = MALFORMED.exec(name)?.[0];
  if (bad === undefined) return undefined;
  return `it contains ${nameOf(bad)}; use letters, digits, and signs other than "{", "}" and "#"`;
}

function nameOf(character: string): string {
  if (/[{}#]/.test(character)) return JSON.stringify(character);
  const code = `U+${character.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0")}`;
  if (/\s/.test(character)) return `white space (${code})`;
  return `${/\p{Cs}/u.test(character) ? "half a surrogate pair" : "a control character"} (${code})`;
}
