import type { StandardSchemaResult, StandardSchemaV1 } from "../events/mod.ts";
import { Gate, until } from "./_broker_bench.ts";

/** What a schema answers that refuses: what, and where. */
export function refused(message: string, ...path: string[]): StandardSchemaResult<never> {
  return { issues: [{ message, path }] };
}

/** A Standard Schema that is one function. */
export function schemaOf<T>(
  validate: (detail: T) => StandardSchemaResult<T> | Promise<StandardSchemaResult<T>>,
): StandardSchemaV1<T> {
  return { "~standard": { version: 1, vendor: "tidings", validate: (detail) => validate(detail as T) } };
}

/** A schema of numbered details that answers for each number when it is let: at once, or by a promise. */
export class Questions {
  /** The numbers that it was asked about, as often as it was. */
  readonly asked: number[] = [];
  #gates = new Map<number, Gate>();
  #answer: (n: number) => StandardSchemaResult<{ n: number }>;

  /** @param answer What it answers; what it throws, the promise rejects with. */
  constructor(answer: (n: number) => StandardSchemaResult<{ n: number }> = (n) => ({ value: { n } })) {
    this.#answer = answer;
  }

  /** Keeps the answers for these numbers back until they are let out. */
  hold(...numbers: number[]): this {
    for (const n of numbers) this.#gates.set(n, new Gate());
    return this;
  }

  /** Lets the answer for this number out, and for good. */
  let(...numbers: number[]): void {
    for (const n of numbers) {
      this.#gates.get(n)?.open();
      this.#gates.delete(n);
    }
  }

  /** Waits until it was asked about each of these. */
  async about(...numbers: number[]): Promise<void> {
    await until(() => numbers.every((n) => this.asked.includes(n)), `the schema was asked about ${numbers}`);
  }

  get schema(): StandardSchemaV1<{ n: number }> {
    return schemaOf<{ n: number }>(async ({ n }) => {
      this.asked.push(n);
      await this.#gates.get(n)?.opened;
      return this.#answer(n);
    });
  }
}
