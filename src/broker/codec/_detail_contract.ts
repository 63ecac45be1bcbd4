import { pendingCheck } from "../../events/validation/_checks.ts";
import type { EventDefinition } from "../../events/_definition.ts";
import { encodeDetail } from "../../events/_lossless.ts";
import { isPromise, type Rules, validated } from "../../events/validation/_schema_rules.ts";
import { recordIn } from "../../events/_state.ts";
import { type DomainEvent, ValidationError } from "../../events/mod.ts";
import { reasonOf, show } from "../../events/_check.ts";
import { parseJson } from "./_json.ts";
import type { DetailCipher } from "./detail_cipher.ts";
import { PermanentError } from "../errors.ts";

/** An entry could not be decoded for now, and may be another time: it is no fault of the entry. */
export class DecodingFailure extends Error {}

/** What a class has of schema and encryption, at both ends: before its details are stored, and after they are read. */
export class Contract {
  #definition: EventDefinition;
  #rules: Rules | undefined;
  #cipher: DetailCipher | undefined;

  constructor(definition: EventDefinition, cipher: DetailCipher | undefined) {
    const { type, schema, mask, encrypt } = definition;
    if (encrypt && cipher === undefined) {
      throw new TypeError(
        `Cannot make a broker for ${
          show(type)
        }: it encrypts its sensitive fields, and there is nothing to do it with; ` +
          `pass encryption, such as a FieldEncryption of @tidings/broker/encryption`,
      );
    }
    this.#definition = definition;
    this.#rules = schema && { schema, mask };
    this.#cipher = cipher;
  }

  /** The payload of an event that has to wait for one; undefined where `payload` has it at once. */
  prepare(event: DomainEvent): Promise<string> | undefined {
    const { encrypt } = this.#definition;
    if (this.#rules === undefined && !encrypt) return undefined;
    const check = pendingCheck(event);
    return check === undefined && !encrypt ? undefined : this.#prepared(event, check);
  }

  async #prepared(event: DomainEvent, check: Promise<void> | undefined): Promise<string> {
    if (check !== undefined) await check;
    const payload = encodeDetail(event.detail);
    const { type, encrypt, sensitive: paths } = this.#definition;
    if (!encrypt) return this.#unsealed(payload);
    const { subject } = recordIn(event);
    if (subject === undefined) {
      throw new TypeError(`Cannot publish ${show(type)} without a subject: it is whose key encrypts the event`);
    }
    try {
      return JSON.stringify(await this.#cipher!.seal(JSON.parse(payload), { type, subject, paths }));
    } catch (error) {
      throw new Error(`Cannot publish ${show(type)}: its sensitive fields could not be encrypted: ${reasonOf(error)}`, {
        cause: error,
      });
    }
  }

  /** The payload of an event that need not wait for one. */
  payload(event: DomainEvent): string {
    // Nothing may ever be stored in the clear by a way around the preparation.
    if (this.#definition.encrypt) throw new TypeError(`Cannot encode ${show(event.type)}: it was not encrypted before`);
    return this.#unsealed(encodeDetail(event.detail));
  }

  // With a cipher it would be taken for an encrypted value when it is read, and could not be decrypted. No text that is a
  // value has a colon behind it.
  #unsealed(payload: string): string {
    if (this.#cipher === undefined || !payload.includes('"$enc":')) return payload;
    throw new TypeError(
      `Cannot publish ${show(this.#definition.type)}: its detail has the key "$enc", which stands for what is ` +
        `encrypted; rename it`,
    );
  }

  /** Whether something of a payload has to be decrypted. */
  isSealed(payload: string | undefined): payload is string {
    return this.#cipher !== undefined && payload !== undefined && payload.includes('"$enc"');
  }

  /** The detail of a sealed payload, decrypted, brought to the present version by `upcast`, and accepted. */
  async open(payload: string, subject: string | undefined, upcast: (detail: unknown) => unknown): Promise<unknown> {
    const { type } = this.#definition;
    const { detail, shredded } = await orFailure(
      this.#cipher!.open(parseJson("its payload", payload), { type, subject }),
    );
    const current = upcast(detail);
    return shredded ? current : await this.accept(current);
  }

  /** What the schema makes of a stored detail of the present version, or a promise of it. */
  accept(detail: unknown): unknown {
    if (isPromise(detail)) throw new TypeError("its upcaster answered by a promise, and must answer at once");
    if (this.#rules === undefined) return detail;
    const made = validated(this.#rules, detail);
    return isPromise(made) ? orFailure(made) : made;
  }
}

/** Tells what may be otherwise another time from what is wrong with the entry. */
async function orFailure<T>(answer: Promise<T>): Promise<T> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof ValidationError || error instanceof PermanentError) throw error;
    throw new DecodingFailure(reasonOf(error), { cause: error });
  }
}
