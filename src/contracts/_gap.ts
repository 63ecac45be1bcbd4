import type { Conjunction } from "./_conjunction.ts";
import type { JsonSchema, Keywords } from "./_schema.ts";

/** A reason why a reader may refuse a written value. */
export interface Gap {
  /** `breaks`: it refuses some. `unknown`: the schemas do not tell. `note`: it refuses only values that no contract declares. */
  readonly verdict: "breaks" | "unknown" | "note";
  /** The path within the detail: "detail.items[*].price". */
  readonly path: string;
  readonly message: string;
}

/** One keyword of the reader's schema, to be compared with the writer's schemas. */
export interface Place {
  /** The writer's schemas; a written value meets all of them. */
  readonly all: Conjunction;
  /** The JSON type of the values that are compared. */
  readonly type: string;
  readonly keyword: string;
  /** The value of the keyword. */
  readonly limit: unknown;
  /** The reader's object that holds the keyword. */
  readonly wanted: Keywords;
  readonly path: string;
  /** Compares nested schemas. */
  readonly coverage: { gaps(written: readonly JsonSchema[], reader: JsonSchema, path: string): Gap[] };
  readonly writerRoot: unknown;
}
