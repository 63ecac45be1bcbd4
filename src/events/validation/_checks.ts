import { UnfitSchemaError } from "./_admission.ts";
import { reasonOf, show } from "../_check.ts";
import type { DomainEvent } from "../domain_event.ts";
import { ValidationError } from "./validation_error.ts";

interface Check {
  answer: Promise<void>;
  /** Set when no answer came: how to ask again. */
  failed: boolean;
  readonly ask: () => unknown;
}

/** Events whose schema has not accepted them yet: only those of a schema that answers by a promise. */
const checks = new WeakMap<DomainEvent, Check>();

/** Notes that the event's detail is what this promise will bring; `ask` asks again should it bring nothing. */
export function noteCheck(event: DomainEvent, answer: Promise<unknown>, ask: () => unknown): void {
  const check: Check = { answer: Promise.resolve(), failed: false, ask };
  checks.set(event, check);
  follow(event, check, answer);
}

/** Resolves once the event's schema has accepted it; undefined when there is nothing to wait for. */
export function pendingCheck(event: DomainEvent): Promise<void> | undefined {
  const check = checks.get(event);
  if (check?.failed) follow(event, check, new Promise((resolve) => resolve(check.ask())));
  return check?.answer;
}

function follow(event: DomainEvent, check: Check, answer: Promise<unknown>): void {
  check.failed = false;
  check.answer = answer.then((value) => {
    // The platform's own property cannot be set: this one hides it.
    Object.defineProperty(event, "detail", { value: value ?? null, enumerable: true, configurable: true });
    checks.delete(event);
  }, (error) => {
    if (error instanceof ValidationError || error instanceof UnfitSchemaError) throw error;
    check.failed = true;
    throw new Error(
      `Cannot publish ${show(event.type)}: its schema gave no answer: ${
        reasonOf(error)
      }; publish the same object again`,
      { cause: error },
    );
  });
  // Whoever publishes the event is told; an event that nobody publishes must not end the process.
  check.answer.catch(() => {});
}
