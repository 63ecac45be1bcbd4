import { UnfitSchemaError } from "./_admission.ts";
import { reasonOf, show } from "../_check.ts";
import { isInstance } from "../_foreign.ts";
import type { DomainEvent } from "../domain_event.ts";
import { ValidationError } from "./validation_error.ts";

interface Check {
  answer: Promise<void>;
  /** True when the schema failed to answer: `ask` validates again. */
  failed: boolean;
  readonly ask: () => unknown;
}

/** Events that an asynchronous schema has not accepted yet. */
const checks = new WeakMap<DomainEvent, Check>();

/** Notes that the promise will resolve to the event's detail; `ask` validates again if it rejects. */
export function noteCheck(event: DomainEvent, answer: Promise<unknown>, ask: () => unknown): void {
  const check: Check = { answer: Promise.resolve(), failed: false, ask };
  checks.set(event, check);
  follow(event, check, answer);
}

/** Resolves once the event's schema has accepted it; undefined for an event that waits for no schema. */
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
  // `publish` rejects with it; for an event that is never published, the rejection must not end the process.
  check.answer.catch(() => {});
}
