import { show } from "../_check.ts";
import { isInstance } from "../_foreign.ts";
import { isPromise, type Rules, validated } from "./_schema_rules.ts";
import { ValidationError } from "./validation_error.ts";

/** The schema refuses or changes its own output, so events of its class could not be read again. */
export class UnfitSchemaError extends TypeError {}

/** Validates the details of new events of one class. */
export class Admission {
  #type: string;
  #rules: Rules;
  /** Whether the schema has accepted its own output once, unchanged. */
  #isProven = false;

  constructor(type: string, rules: Rules) {
    this.#type = type;
    this.#rules = rules;
  }

  /** The output of the schema, or a promise of it. Throws or rejects with a ValidationError when it refuses. */
  admit(detail: unknown): unknown {
    const made = validated(this.#rules, detail, this.#action);
    if (this.#isProven) return made;
    return isPromise(made) ? made.then((value) => this.#prove(value)) : this.#prove(made);
  }

  get #action(): string {
    return `Cannot construct ${show(this.#type)}: `;
  }

  // The output is stored, and validated again when it is read. An error now is better than a dead letter later.
  #prove(made: unknown): unknown {
    let again: unknown;
    try {
      again = validated(this.#rules, made);
    } catch (error) {
      throw this.#unfit(error);
    }
    if (!isPromise(again)) return this.#proved(made, again);
    return again.then((value) => this.#proved(made, value), (error) => {
      throw this.#unfit(error);
    });
  }

  #proved(made: unknown, again: unknown): unknown {
    if (!same(made, again)) {
      throw new UnfitSchemaError(
        `${this.#action}its schema changes its own output, which is stored and validated again when it is read; ` +
          `give a schema that does not change its own output`,
      );
    }
    this.#isProven = true;
    return made;
  }

  #unfit(error: unknown): unknown {
    // The schema failed and did not refuse its output, so it may still be fit.
    if (!isInstance(error, ValidationError)) return error;
    const { path, message } = error.issues[0] ?? { path: "detail", message: "no reason given" };
    return new UnfitSchemaError(
      `${this.#action}its schema refuses its own output at ${path} (${message}), which is stored and ` +
        `validated again when it is read; give a schema that accepts its own output too`,
      { cause: error },
    );
  }
}

function same(one: unknown, other: unknown): boolean {
  if (Object.is(one, other)) return true;
  if (typeof one !== "object" || typeof other !== "object" || one === null || other === null) return false;
  const keys = Object.keys(one);
  return keys.length === Object.keys(other).length &&
    keys.every((key) => Object.hasOwn(other, key) && same(one[key as never], other[key as never]));
}
