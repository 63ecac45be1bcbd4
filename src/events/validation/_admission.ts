import { show } from "../_check.ts";
import { isPromise, type Rules, validated } from "./_schema_rules.ts";
import { ValidationError } from "./validation_error.ts";

/** The schema refuses or changes what it made: no event of its class can be read again. */
export class UnfitSchemaError extends TypeError {}

/** What the schema of one class makes of the details of new events. */
export class Admission {
  #type: string;
  #rules: Rules;
  /** True once the schema has accepted what it made: the first event shows whether it does. */
  #proven = false;

  constructor(type: string, rules: Rules) {
    this.#type = type;
    this.#rules = rules;
  }

  /** What the schema makes of it, or a promise of that; a ValidationError when it refuses it. */
  admit(detail: unknown): unknown {
    const made = validated(this.#rules, detail, this.#what);
    if (this.#proven) return made;
    return isPromise(made) ? made.then((value) => this.#prove(value)) : this.#prove(made);
  }

  get #what(): string {
    return `Cannot construct ${show(this.#type)}: `;
  }

  // What is stored is the schema's output, and whoever reads it validates that: better told now than by a dead letter.
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
        `${this.#what}its schema makes something else of its own output: what is stored is that, and is validated ` +
          `again when it is read; give a schema that leaves it as it is`,
      );
    }
    this.#proven = true;
    return made;
  }

  #unfit(error: unknown): unknown {
    // A schema that could not answer at all says nothing about its output.
    if (!(error instanceof ValidationError)) return error;
    const { path, message } = error.issues[0] ?? { path: "detail", message: "no reason given" };
    return new UnfitSchemaError(
      `${this.#what}its schema refuses its own output at ${path} (${message}): what is stored is that, and is ` +
        `validated again when it is read; give a schema that accepts both`,
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
