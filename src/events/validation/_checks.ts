import { UnfitSchemaError } from "./_admission.ts";
import { reasonOf, show } from "../_check.ts";
import { isInstance } from "../_foreign.ts";
import type { DomainEvent } from "../domain_event.ts";
import { ValidationError } from "./validation_error.ts";

interface Check {
  answer: Promise<void>;
  /** Whether the schema failed without a result; `ask` then validates again. */
  failed: boolean;
  readonly ask: () => unknown;
}

/** The checks of events that an asynchronous schema has not accepted yet. */
const checks = new WeakMap<DomainEvent, Check>();

/** Records that `answer` will resolve with the event's detail. If it rejects, `ask` validates again. */
export function noteCheck(event: DomainEvent, answer: Promise<unknown>, ask: () => unknown): void {
  const check: Check = { answer: Promise.resolve(), failed: false, ask };
  checks.set(event, check);
  follow(event, check, answer);
}

/** Resolves once the asynchronous schema has accepted the event; undefined if the event does not wait for a schema. */
export function pendingCheck(event: DomainEvent): Promise<void> | undefined {
  const check = checks.get(event);
  if (check?.failed) follow(event, check, new Promise((resolve) => resolve(check.ask())));
  return check?.answer;
}

function follow(event: DomainEvent, check: Check, answer: Promise<unknown>): void {
  check.failed = false;
  check.answer = answer.then((value) => {
    // The `detail` of a CustomEvent cannot be set: an own property hides it.
    Object.defineProperty(event, "detail", { value: value ?? null, enumerable: true, configurable: true });
    checks.delete(event);
  }, (error) => {
    if (isInstance(error, ValidationError) || isInstance(error, UnfitSchemaError)) throw error;
    check.failed = true;
    throw new Error(
      `Cannot publish ${show(event.type)}: its schema gave no answer: ${
        reasonOf(error)
      }; publish the same object again`,
      { cause: error },
    );
  });
  // `publish` rejects with this error. If the event is never published, the rejection must not end the process.
  check.answer.catch(() => {});
}
