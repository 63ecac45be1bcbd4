import type { SchemaOutput, StandardSchemaV1 } from "./validation/standard_schema.ts";

/** How long, and how many, events of a type are kept. What some group has not read or settled is kept in any case. */
export interface RetentionOptions {
  /**
   * The greatest age, in milliseconds.
   *
   * @default {Infinity}
   */
  maxAge?: number;
  /**
   * The greatest number of events.
   *
   * @default {Infinity}
   */
  maxLength?: number;
}

/** Options for `defineEvent`. */
export interface EventOptions {
  /**
   * The version of the detail's shape, an integer from 1. Raise it when the shape changes, and say in `upcast` how
   * stored events of the version before become ones of the new.
   *
   * @default {1}
   */
  version?: number;
  /**
   * How the detail of each older version becomes that of the next: `{ 1: (detail) => … }` leads from version 1 to 2.
   * From the lowest version named, none may be missing. Version 0 is that of entries without an id, by other writers.
   */
  // deno-lint-ignore no-explicit-any
  upcast?: { readonly [from: number]: (detail: any) => unknown };
  /**
   * What is kept of this type, before what the broker says for all types.
   *
   * @default {undefined}
   */
  retention?: RetentionOptions;
  /**
   * Dotted paths within the detail, such as `"card.token"`, that are masked wherever an event is shown. A path leads
   * through arrays into each element. What is stored and exported is complete.
   *
   * @default {[]}
   */
  sensitive?: readonly string[];
  /**
   * Encrypts what `sensitive` names wherever the event is stored, by a key of its `subject`, which each event must have
   * then: `new` without one is a TypeError. The broker needs the option `encryption`.
   *
   * @default {false}
   */
  encrypt?: boolean;
}

/** Options for `defineEvent` where a schema gives the type of the detail. */
export interface SchemaEventOptions<Schema extends StandardSchemaV1> extends Omit<EventOptions, "sensitive"> {
  /**
   * A Standard Schema (zod, valibot, arktype, …). `new` validates the detail and keeps what the schema makes of it, which
   * is what is stored. What is read from a store is validated again, after `upcast`, and what the schema makes of that is
   * the detail: a schema must therefore accept its own output and leave it as it is, which the first event of a class
   * shows.
   *
   * Where it answers by a promise, `publish` waits for that and rejects if it refuses; until then `detail` is what `new`
   * was given. A promise that rejects, because a database is away, refuses nothing: the event is published by another
   * `publish` of the same object, and a delivery is a failed attempt that comes again.
   */
  schema: Schema;
  /**
   * Dotted paths within the schema's output that are masked wherever an event is shown.
   *
   * @default {[]}
   */
  sensitive?: readonly PathOf<SchemaOutput<Schema>>[];
}

/**
 * The dotted paths of `T`, through arrays into their elements and down to eight levels; any string where `T` is unknown.
 *
 * @example Paths of a payload
 * ```ts
 * import type { PathOf } from "@tidings/broker";
 * import { assertEquals } from "@std/assert";
 *
 * const path: PathOf<{ cards: { token: string }[] }> = "cards.token";
 * assertEquals(path.split("."), ["cards", "token"]);
 * ```
 */
export type PathOf<T, Depth extends readonly unknown[] = []> = unknown extends T ? string
  : T extends string | number | boolean | bigint | symbol | null | undefined ? never
  : T extends readonly (infer Item)[] ? PathOf<Item, Depth>
  : Depth["length"] extends 8 ? never
  : T extends object ? {
      [Key in keyof T & string]:
        | Key
        | (PathOf<T[Key], [...Depth, unknown]> extends infer Path extends string ? `${Key}.${Path}` : never);
    }[keyof T & string]
  : never;
