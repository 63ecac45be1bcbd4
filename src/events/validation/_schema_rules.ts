import { reasonOf, show } from "../_check.ts";
import { type Mask, maskedAt } from "../_mask.ts";
import type { StandardSchemaIssue, StandardSchemaResult, StandardSchemaV1 } from "./standard_schema.ts";
import { ValidationError, type ValidationIssue } from "./validation_error.ts";

const MAX_SHOWN = 5;

/** Throws a TypeError unless `schema` implements Standard Schema 1. */
export function checkSchema(type: string, schema: unknown): asserts schema is StandardSchemaV1 {
  const holds = typeof schema === "function" || typeof schema === "object" && schema !== null;
  const standard = holds ? (schema as Partial<StandardSchemaV1>)["~standard"] : undefined;
  if (standard?.version === 1 && typeof standard.validate === "function") return;
  throw new TypeError(
    `Cannot define event ${show(type)}: ${show(schema)} is not a Standard Schema, give one of zod, valibot, arktype, …`,
  );
}

/** What is needed to validate a detail. */
export interface Rules {
  readonly schema: StandardSchemaV1;
  readonly mask: Mask | undefined;
}

/**
 * What the schema makes of a detail, or a promise of it where the schema answers by one. Throws, or rejects with, a
 * ValidationError when it refuses; `what` begins the message. A promise of the schema's that rejects is passed on.
 */
export function validated({ schema, mask }: Rules, detail: unknown, what = ""): unknown {
  let answer: StandardSchemaResult<unknown> | Promise<StandardSchemaResult<unknown>>;
  try {
    answer = schema["~standard"].validate(detail);
  } catch (error) {
    throw new TypeError(`${what}its schema threw: ${reasonOf(error)}`, { cause: error });
  }
  if (isPromise(answer)) return answer.then((result) => valueOf(result, mask, what));
  return valueOf(answer, mask, what);
}

/** Whether a schema, or what is built on one, answers later. */
export function isPromise<T>(answer: T | PromiseLike<T>): answer is Promise<T> {
  return answer instanceof Promise ||
    typeof answer === "object" && answer !== null && typeof (answer as { then?: unknown }).then === "function";
}

function valueOf(result: StandardSchemaResult<unknown>, mask: Mask | undefined, what: string): unknown {
  if (typeof result !== "object" || result === null) {
    throw new TypeError(`${what}its schema answered ${show(result)}, which is no result of a Standard Schema`);
  }
  if (result.issues === undefined) return result.value;
  const issues = result.issues.map((issue) => shownIssue(issue, mask));
  throw new ValidationError(`${what}its schema refuses ${issuesText(issues)}`, issues);
}

/** The first issues as a message shows them. */
function issuesText(issues: readonly ValidationIssue[]): string {
  const shown = issues.slice(0, MAX_SHOWN).map(({ path, message }) => `${path} (${message})`).join("; ");
  return issues.length > MAX_SHOWN ? `${shown}; and ${issues.length - MAX_SHOWN} more` : shown;
}

function shownIssue({ path = [], message }: StandardSchemaIssue, mask: Mask | undefined): ValidationIssue {
  const keys = path.map((segment) => typeof segment === "object" ? segment.key : segment);
  return Object.freeze({
    path: ["detail", ...keys.map(String)].join("."),
    // Some libraries quote what they were given: what is masked elsewhere must not be in an error.
    message: mask !== undefined && maskedAt(keys, mask) ? "***" : String(message),
  });
}
