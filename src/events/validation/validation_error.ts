/** A reason why a schema refuses a detail. */
export interface ValidationIssue {
  /** The path of the refused value: `detail` and the keys to the value, such as `detail.cards.0.token`. */
  readonly path: string;
  /** The message of the schema; `***` if it could show a sensitive value. */
  readonly message: string;
}

/**
 * The schema of an event's class refuses the detail. `new` throws it; if the schema is asynchronous, `publish` rejects with it.
 * When the schema refuses a stored entry, it is the `cause` of the `UndecodableError`.
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
  /** All reasons that the schema gives. */
  readonly issues: readonly ValidationIssue[];

  /** Makes the error. */
  constructor(message: string, issues: readonly ValidationIssue[]) {
    super(message);
    this.issues = issues;
  }
}
