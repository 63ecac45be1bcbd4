import { show } from "./_check.ts";
import type { StandardSchemaIssue, StandardSchemaV1 } from "./standard_schema.ts";

const MAX_ISSUES = 5;

/** Throws a TypeError unless `schema` implements Standard Schema 1. */
export function checkSchema(type: string, schema: unknown): asserts schema is StandardSchemaV1 {
  const holds = typeof schema === "function" || typeof schema === "object" && schema !== null;
  const standard = holds ? (schema as Partial<StandardSchemaV1>)["~standard"] : undefined;
  if (standard?.version === 1 && typeof standard.validate === "function") return;
  throw new TypeError(
    `Cannot define event ${show(type)}: ${show(schema)} is not a Standard Schema, give one of zod, valibot, arktype, …`,
  );
}

/** What the schema makes of a detail; a TypeError, with the issues as its cause, when it refuses it. */
export function validated(type: string, schema: StandardSchemaV1, detail: unknown): unknown {
  const result = schema["~standard"].validate(detail);
  if (result instanceof Promise) {
    // Nobody waits for its answer any more; a refusal must not end the process.
    result.catch(() => {});
    throw new TypeError(
      `Cannot construct ${show(type)}: its schema answers by a promise, use one that answers at once`,
    );
  }
  if (result.issues === undefined) return result.value;
  const shown = result.issues.slice(0, MAX_ISSUES).map(issueText).join("; ");
  const more = result.issues.length > MAX_ISSUES ? `; and ${result.issues.length - MAX_ISSUES} more` : "";
  throw new TypeError(`Cannot construct ${show(type)}: its schema refuses ${shown}${more}`, { cause: result.issues });
}

function issueText({ path = [], message }: StandardSchemaIssue): string {
  const keys = path.map((segment) => String(typeof segment === "object" ? segment.key : segment));
  return `${["detail", ...keys].join(".")} (${message})`;
}
