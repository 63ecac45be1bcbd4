/** A reason why a schema refuses a detail. */
export interface ValidationIssue {
  /** The path: `detail`, and the keys that lead there joined by dots, such as `detail.cards.0.token`. */
  readonly path: string;
  /** The message of the schema; `***` where it may show a sensitive value. */
  readonly message: string;
}

/**
 * The schema of an event's class refuses its detail. Thrown by `new`; where the schema is asynchronous, `publish` rejects
 * with it. It is the `cause` of the `UndecodableError` for an entry that the schema refuses.
 *
 * @example Show the issues of a form
 * ```ts
 * import { defineEvent, ValidationError } from "@tidings/broker";
 * import { assertEquals, assertThrows } from "@std/assert";
 * import { z } from "zod";
 *
 * class BidPlaced extends defineEvent("BidPlaced", { schema: z.object({ amount: z.number().positive("too low") }) }) {}
 *
 * const error = assertThrows(() => new BidPlaced({ amount: 0 }), ValidationError);
 * assertEquals(error.issues, [{ path: "detail.amount", message: "too low" }]);
 * ```
 */
export class ValidationError extends TypeError {
  /** Always `"ValidationError"`. */
  override readonly name = "ValidationError";
  /** All reasons of the schema. */
  readonly issues: readonly ValidationIssue[];

  /** Makes the error. */
  constructor(message: string, issues: readonly ValidationIssue[]) {
    super(message);
    this.issues = issues;
  }
}
