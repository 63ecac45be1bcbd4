import type { StandardSchemaResult, StandardSchemaV1 } from "../events/mod.ts";
import { Gate, until } from "./_broker_bench.ts";

/** An issue that a schema reports: its message and path. */
export function refused(message: string, ...path: string[]): StandardSchemaResult<never> {
  return { issues: [{ message, path }] };
}

/** A Standard Schema that is one function. */
export function schemaOf<T>(
  validate: (detail: T) => StandardSchemaResult<T> | Promise<StandardSchemaResult<T>>,
): StandardSchemaV1<T> {
  return { "~standard": { version: 1, vendor: "tidings", validate: (detail) => validate(detail as T) } };
}

/** A schema of numbered details. It validates at once or by a promise that a test resolves. */
export class PausableSchema {
  /** The numbers that were validated, in order, repeats included. */
  readonly validated: number[] = [];
  #gates = new Map<number, Gate>();
  #validate: (n: number) => StandardSchemaResult<{ n: number }>;

  /** @param validate The validation result; an error it throws rejects the promise. */
  constructor(validate: (n: number) => StandardSchemaResult<{ n: number }> = (n) => ({ value: { n } })) {
    this.#validate = validate;
  }

  /** Holds the results for these numbers until they are released. */
  hold(...numbers: number[]): this {
    for (const n of numbers) this.#gates.set(n, new Gate());
    return this;
  }

  /** Releases the results for these numbers, now and for later calls. */
  release(...numbers: number[]): void {
    for (const n of numbers) {
      this.#gates.get(n)?.open();
      this.#gates.delete(n);
    }
  }

  /** Waits until each of these numbers was validated. */
  async started(...numbers: number[]): Promise<void> {
    await until(() => numbers.every((n) => this.validated.includes(n)), `the schema has validated ${numbers}`);
  }

  get schema(): StandardSchemaV1<{ n: number }> {
    return schemaOf<{ n: number }>(async ({ n }) => {
      this.validated.push(n);
      await this.#gates.get(n)?.opened;
      return this.#validate(n);
    });
  }
}
