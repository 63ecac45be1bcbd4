import { show } from "../../events/_check.ts";
import { ValidationError } from "../../events/mod.ts";
import type { ErrorRecord } from "../../store/mod.ts";

// A long array may be wrong in every element: the first issues say as much as all.
const MAX_ISSUES = 100;
const MAX_MESSAGE = 1_000;

/** What a dead letter keeps of whatever was thrown. */
export function errorRecord(error: unknown): ErrorRecord {
  if (!(error instanceof Error)) return { name: "Error", message: typeof error === "string" ? error : show(error) };
  const { name, message, stack } = error;
  const refusal = [error, error.cause].find((it) => it instanceof ValidationError);
  return { name, message, ...(stack !== undefined && { stack }), ...(refusal && { issues: issuesOf(refusal) }) };
}

function issuesOf({ issues }: ValidationError): NonNullable<ErrorRecord["issues"]> {
  return issues.slice(0, MAX_ISSUES).map(({ path, message }) => ({
    path: path.slice(0, MAX_MESSAGE),
    message: message.slice(0, MAX_MESSAGE),
  }));
}
