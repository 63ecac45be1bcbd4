import { reasonOf } from "../../events/_check.ts";
import { isInstance, readProperty, readText } from "../../events/_foreign.ts";
import { ValidationError } from "../../events/mod.ts";
import type { ErrorRecord } from "../../store/mod.ts";

// A long array may be invalid in every element: the first issues say as much as all.
const MAX_ISSUES = 100;
const MAX_MESSAGE = 1_000;

/** The part of a thrown value that a dead letter keeps. Never throws, whatever the value. */
export function errorRecord(error: unknown): ErrorRecord {
  if (!isInstance(error, Error)) return { name: "Error", message: reasonOf(error) };
  const stack = readText(error, "stack");
  const refusal = [error, readProperty(error, "cause")].find((it) => isInstance(it, ValidationError));
  return {
    name: readText(error, "name") ?? "Error",
    message: readText(error, "message") ?? "",
    ...(stack !== undefined && { stack }),
    ...(refusal !== undefined && { issues: issuesOf(refusal) }),
  };
}

function issuesOf({ issues }: ValidationError): NonNullable<ErrorRecord["issues"]> {
  return issues.slice(0, MAX_ISSUES).map(({ path, message }) => ({
    path: path.slice(0, MAX_MESSAGE),
    message: message.slice(0, MAX_MESSAGE),
  }));
}
