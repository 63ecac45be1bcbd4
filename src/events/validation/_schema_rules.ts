import { reasonOf, show } from "../_check.ts";
import { isInstance, MAX_TEXT, thenable } from "../_foreign.ts";
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
    `Cannot define event ${show(type)}: ${show(schema)} is not a Standard Schema; give one of zod, valibot, arktype, …`,
  );
}

/** The schema of a class, and the mask of its sensitive paths. */
export interface Rules {
  readonly schema: StandardSchemaV1;
  readonly mask: Mask | undefined;
}

/**
 * Returns the output of the schema for a detail, or a promise of it if the schema is asynchronous. Throws or rejects with a
 * ValidationError if the schema refuses the detail; `action` begins the message. If the schema's promise rejects, the result
 * rejects with the same error.
 */
export function validated({ schema, mask }: Rules, detail: unknown, action = ""): unknown {
  let answer: StandardSchemaResult<unknown> | PromiseLike<StandardSchemaResult<unknown>>;
  let later: PromiseLike<unknown> | undefined;
  try {
    answer = schema["~standard"].validate(detail);
    later = thenable(answer);
  } catch (error) {
    throw new TypeError(`${action}its schema threw: ${reasonOf(error)}`, { cause: error });
  }
  if (later === undefined) return valueOf(answer as StandardSchemaResult<unknown>, mask, action);
  // Promise.resolve() makes a real promise: the `then` of another one may throw, or not return a promise.
  return Promise.resolve(later).then((result) => valueOf(result as StandardSchemaResult<unknown>, mask, action));
}

/** Whether a value is a promise, of any kind. */
export function isPromise<T>(answer: T | PromiseLike<T>): answer is Promise<T> {
  if (isInstance(answer, Promise)) return true;
  try {
    return thenable(answer) !== undefined;
  } catch {
    return false;
  }
}

function valueOf(result: StandardSchemaResult<unknown>, mask: Mask | undefined, action: string): unknown {
  if (typeof result !== "object" || result === null) {
    throw new TypeError(`${action}its schema returned ${show(result)}, which is not a result of a Standard Schema`);
  }
  let issues: ValidationIssue[];
  try {
    if (result.issues === undefined) return result.value;
    if (!Array.isArray(result.issues)) throw new TypeError("its issues are no array");
    issues = result.issues.map((issue) => shownIssue(issue, mask));
  } catch (error) {
    throw new TypeError(`${action}its schema gave a result that cannot be read: ${reasonOf(error)}`, { cause: error });
  }
  throw new ValidationError(`${action}its schema refuses ${issuesText(issues)}`, issues);
}

/** The first issues as text. */
function issuesText(issues: readonly ValidationIssue[]): string {
  if (issues.length === 0) return "detail (it gives no reason)";
  const shown = issues.slice(0, MAX_SHOWN).map(({ path, message }) => `${path} (${message})`).join("; ");
  return issues.length > MAX_SHOWN ? `${shown}; and ${issues.length - MAX_SHOWN} more` : shown;
}

function shownIssue({ path = [], message }: StandardSchemaIssue, mask: Mask | undefined): ValidationIssue {
  const keys = path.map((segment) => typeof segment === "object" ? segment.key : segment);
  return Object.freeze({
    path: ["detail", ...keys.map(String)].join(".").slice(0, MAX_TEXT),
    // Some libraries quote the refused value in the message, which must not show a sensitive value.
    message: mask !== undefined && maskedAt(keys, mask) ? "***" : String(message).slice(0, MAX_TEXT),
  });
}
