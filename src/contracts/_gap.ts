import type { Conjunction } from "./_conjunction.ts";
import type { JsonSchema, Keywords } from "./_schema.ts";

/** A reason why a reader may refuse a written value. */
export interface Gap {
  /** `breaks`: it refuses some. `unknown`: that cannot be told. `note`: it refuses only values that no contract declares. */
  readonly verdict: "breaks" | "unknown" | "note";
  /** The path within the detail: "detail.items[*].price". */
  readonly path: string;
  readonly message: string;
}

/** One keyword of the reader, to be compared with the schemas of the writer. */
export interface Place {
  /** The schemas of the writer, all of which a written value meets. */
  readonly all: Conjunction;
  /** The type of values that is compared. */
  readonly type: string;
  readonly keyword: string;
  /** The value of the keyword. */
  readonly limit: unknown;
  /** The reader's object that holds the keyword. */
  readonly wanted: Keywords;
  readonly path: string;
  /** Compares schemas further inside. */
  readonly coverage: { gaps(written: readonly JsonSchema[], reader: JsonSchema, path: string): Gap[] };
  readonly writerRoot: unknown;
}
