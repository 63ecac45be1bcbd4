/** What a schema has against a detail, and where. */
export interface ValidationIssue {
  /** Where: `detail`, and the keys that lead there joined by dots, such as `detail.cards.0.token`. */
  readonly path: string;
  /** What is wrong, in the schema's words; `***` where they may show what is sensitive. */
  readonly message: string;
}

/**
 * The schema of an event's class refuses its detail. Thrown by `new`; where the schema answers by a promise, `publish`
 * rejects with it. An entry that its class's schema refuses is an `UndecodableError` whose `cause` it is.
 *
 * @example Tell whoever filled in a form
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
  /** All that the schema has against it. */
  readonly issues: readonly ValidationIssue[];

  /** Makes the error. */
  constructor(message: string, issues: readonly ValidationIssue[]) {
    super(message);
    this.issues = issues;
  }
}
