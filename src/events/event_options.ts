import type { SchemaOutput, StandardSchemaV1 } from "./validation/standard_schema.ts";

/**
 * How many events of a type are kept, how long, and in how many bytes. Events that a group has not read or settled are always
 * kept. A stream may exceed `maxLength` and `maxBytes` by about a tenth before the oldest events are removed.
 */
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
  /**
   * The greatest number of bytes, as the store measures them: `info()` shows it as `bytes`. In memory and in SQLite it is
   * the length of names and values. On Redis it is the memory of the stream, and at least some KB.
   *
   * @default {Infinity}
   */
  maxBytes?: number;
}

/** Options for `defineEvent`. */
export interface EventOptions<Subject extends string = string> {
  /**
   * The stream that stores these events. Classes that name the same stream share it: history, groups and listeners over
   * several of them see their events in one order. It is named by the same rules as a type, and may be in lower case.
   *
   * @default {a stream of its own, named by the type}
   */
  stream?: string;
  /**
   * The dotted path within the detail, such as `"auctionId"`, where each event has its subject: the thing that it is about.
   * An explicit `subject` must be the same.
   *
   * @default {the subject is given to the constructor, or there is none}
   */
  subject?: Subject;
  /**
   * The version of the detail's shape, an integer from 1. Raise it when the shape changes, and add a function to `upcast`
   * that converts stored events of the previous version.
   *
   * @default {1}
   */
  version?: number;
  /**
   * Functions that convert the detail of an older version to the next: `{ 1: (detail) => … }` converts version 1 to 2. No
   * version after the lowest one may be missing. Entries of other programs that have no id are version 0.
   */
  // deno-lint-ignore no-explicit-any
  upcast?: { readonly [from: number]: (detail: any) => unknown };
  /**
   * The retention of this type; it replaces that of the broker.
   *
   * @default {the broker's retention}
   */
  retention?: RetentionOptions;
  /**
   * Dotted paths within the detail, such as `"card.token"`, that are masked wherever an event is shown. A path
   * applies to each element of an array. Stored and exported events are not masked.
   *
   * @default {[]}
   */
  sensitive?: readonly string[];
  /**
   * Stores the `sensitive` values encrypted, with a key of the event's `subject`. Each event then needs a subject: `new`
   * without one throws a TypeError. The broker needs the option `encryption`.
   *
   * @default {false}
   */
  encrypt?: boolean;
}

/** Options for `defineEvent` with a schema, which gives the type of the detail. */
export interface SchemaEventOptions<Schema extends StandardSchemaV1>
  extends Omit<EventOptions, "sensitive" | "subject"> {
  /**
   * A Standard Schema (zod, valibot, arktype, …). `new` validates the detail and keeps the output of the schema,
   * which is stored. A stored detail is validated again when it is read, after `upcast`. The schema must therefore accept
   * its own output and not change it; this is checked with the first event of a class.
   *
   * `publish` awaits an asynchronous schema, and rejects if the schema refuses the detail. Until then `detail` is the value
   * that was passed to `new`. If the schema itself fails, for example because a database is unreachable, `publish` rejects
   * too: publish the same object again. A delivery is retried then.
   */
  schema: Schema;
  /**
   * The dotted path within the schema's output where each event has its subject.
   *
   * @default {the subject is given to the constructor, or there is none}
   */
  subject?: TextPathOf<SchemaOutput<Schema>>;
  /**
   * Dotted paths within the schema's output that are masked wherever an event is shown.
   *
   * @default {[]}
   */
  sensitive?: readonly PathOf<SchemaOutput<Schema>>[];
}

/**
 * The dotted paths of `T`, down to eight levels; a path applies to each element of an array. Any string if `T` is unknown.
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

/**
 * The dotted paths of `T` that lead to a string, down to eight levels and into no array. Any string if `T` is unknown.
 *
 * @example Paths to a subject
 * ```ts
 * import type { TextPathOf } from "@tidings/broker";
 * import { assertEquals } from "@std/assert";
 *
 * const path: TextPathOf<{ auction: { id: string }; price: number }> = "auction.id";
 * assertEquals(path.split("."), ["auction", "id"]);
 * ```
 */
export type TextPathOf<T, Depth extends readonly unknown[] = []> = unknown extends T ? string
  : Depth["length"] extends 8 ? never
  : T extends readonly unknown[] ? never
  : T extends object ? {
      [Key in keyof T & string]: T[Key] extends string ? Key
        : TextPathOf<T[Key], [...Depth, unknown]> extends infer Path extends string ? `${Key}.${Path}`
        : never;
    }[keyof T & string]
  : never;

/**
 * What a detail must have so that its subject can be taken from the path: `{ auction: { id: string } }` for `"auction.id"`.
 *
 * @example The least detail for a path
 * ```ts
 * import type { WithSubject } from "@tidings/broker";
 * import { assertEquals } from "@std/assert";
 *
 * const detail: WithSubject<"auction.id"> = { auction: { id: "a-1" } };
 * assertEquals(detail.auction.id, "a-1");
 * ```
 */
export type WithSubject<Path extends string> = string extends Path ? unknown
  : Path extends `${infer Key}.${infer Rest}` ? { readonly [K in Key]: WithSubject<Rest> }
  : { readonly [K in Path]: string };
