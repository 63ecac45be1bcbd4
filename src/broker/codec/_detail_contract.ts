import { pendingCheck } from "../../events/validation/_checks.ts";
import type { EventDefinition } from "../../events/_definition.ts";
import { encodeDetail } from "../../events/_lossless.ts";
import { isPromise, type Rules, validated } from "../../events/validation/_schema_rules.ts";
import { recordIn } from "../../events/_state.ts";
import { type DomainEvent, ValidationError } from "../../events/mod.ts";
import { reasonOf, show } from "../../events/_check.ts";
import { isInstance } from "../../events/_foreign.ts";
import { parseJson } from "./_json.ts";
import type { DetailCipher } from "../detail_cipher.ts";
import { isPermanent } from "../errors.ts";

/** Decoding failed through no fault of the entry: another attempt may succeed. */
export class DecodingFailure extends Error {}

/** Applies the schema and the encryption of a class, before details are stored and after they are read. */
export class Contract {
  #definition: EventDefinition;
  #rules: Rules | undefined;
  #cipher: DetailCipher | undefined;

  constructor(definition: EventDefinition, cipher: DetailCipher | undefined) {
    const { type, schema, mask, encrypt } = definition;
    if (encrypt && cipher === undefined) {
      throw new TypeError(
        `Cannot make a broker for ${show(type)}: it encrypts its sensitive fields, and the broker has no encryption; ` +
          `pass encryption, such as a FieldEncryption of @tidings/broker/encryption`,
      );
    }
    this.#definition = definition;
    this.#rules = schema && { schema, mask };
    this.#cipher = cipher;
  }

  /** The payload of an event that must first be validated or encrypted; undefined if `payload` can be called instead. */
  prepare(event: DomainEvent): Promise<string> | undefined {
    const { encrypt } = this.#definition;
    if (this.#rules === undefined && !encrypt) return undefined;
    const check = pendingCheck(event);
    return check === undefined && !encrypt ? undefined : this.#prepared(event, check);
  }

  async #prepared(event: DomainEvent, check: Promise<void> | undefined): Promise<string> {
    if (check !== undefined) await check;
    const payload = encodeDetail(event.detail, this.#definition.mask);
    const { type, encrypt, sensitive: paths } = this.#definition;
    if (!encrypt) return this.#unsealed(payload);
    const { subject } = recordIn(event);
    if (subject === undefined) {
      throw new TypeError(
        `Cannot publish ${show(type)} without a subject: the subject's key encrypts the event; give it one`,
      );
    }
    try {
      const sealed = await this.#cipher!.seal(JSON.parse(payload), { type, subject, paths });
      const text: unknown = JSON.stringify(sealed);
      if (typeof text !== "string") throw new TypeError(`it became ${show(sealed)}, which is no JSON`);
      return text;
    } catch (error) {
      throw new Error(`Cannot publish ${show(type)}: its sensitive fields could not be encrypted: ${reasonOf(error)}`, {
        cause: error,
      });
    }
  }

  /** The payload of an event that needs no preparation. */
  payload(event: DomainEvent): string {
    // The detail of such a class must never be stored unencrypted.
    if (this.#definition.encrypt) throw new TypeError(`Cannot encode ${show(event.type)}: it was not encrypted before`);
    return this.#unsealed(encodeDetail(event.detail, this.#definition.mask));
  }

  // With a cipher, a reader would take such a detail for an encrypted value, and fail. The text with the colon can only be
  // a key: inside a string, its quotes would be escaped.
  #unsealed(payload: string): string {
    if (this.#cipher === undefined || !payload.includes('"$enc":')) return payload;
    throw new TypeError(
      `Cannot publish ${show(this.#definition.type)}: its detail has the key "$enc", which marks ` +
        `encrypted values; rename it`,
    );
  }

  /** Whether a payload may hold encrypted values. */
  isSealed(payload: string | undefined): payload is string {
    return this.#cipher !== undefined && payload !== undefined && payload.includes('"$enc"');
  }

  /** The detail of a payload with encrypted values: decrypted, upcast to the version of the class, and validated. */
  async open(payload: string, subject: string | undefined, upcast: (detail: unknown) => unknown): Promise<unknown> {
    const { type } = this.#definition;
    const stored = parseJson("its payload", payload, this.#definition.mask !== undefined);
    const { detail, shredded } = await orFailure((async () => {
      const opened = await this.#cipher!.open(stored, { type, subject });
      return { detail: opened.detail, shredded: opened.shredded };
    })());
    const current = upcast(detail);
    return shredded ? current : await this.accept(current);
  }

  /** The output of the schema for a detail in the version of the class, or a promise of it. */
  accept(detail: unknown): unknown {
    if (isPromise(detail)) throw new TypeError("its upcaster returned a promise; upcasters must be synchronous");
    if (this.#rules === undefined) return detail;
    const made = validated(this.#rules, detail);
    return isPromise(made) ? orFailure(made) : made;
  }
}

/** Turns a rejection into a DecodingFailure, unless the error says that the entry itself is invalid. */
async function orFailure<T>(answer: Promise<T>): Promise<T> {
  try {
    return await answer;
  } catch (error) {
    if (isInstance(error, ValidationError) || isPermanent(error)) throw error;
    throw new DecodingFailure(reasonOf(error), { cause: error });
  }
}
