import { decodeBase64Url, encodeBase64Url } from "@std/encoding/base64url";
import { reasonOf } from "../events/_check.ts";
import { type DetailCipher, PermanentError, type SealedEvent } from "../broker/mod.ts";
import { type Found, foundAt, MARK, marksIn, type Path, pathText, withValues } from "./_detail.ts";
import { Keyring } from "./_keyring.ts";
import type { DataKey, KeyStore } from "./key_store.ts";
import { Shredded } from "./shredded.ts";

const IV_BYTES = 12;
const SEALED = /^([\w-]{1,64})\.([\w-]{16})\.([\w-]+)$/;

/** Options of {@linkcode FieldEncryption}. */
export interface FieldEncryptionOptions {
  /** The store that holds the keys. */
  readonly keys: KeyStore;
  /**
   * How long keys are cached, in milliseconds. This process may use a key for that long after another process has rotated
   * or deleted it.
   *
   * @default {60_000}
   */
  readonly cacheFor?: number;
}

/**
 * Encrypts the sensitive fields of events with AES-256-GCM and a key of the event's subject. Pass it as the option
 * `encryption` of a broker.
 *
 * An encrypted value in the payload is `{"$enc":"<key id>.<iv>.<ciphertext>"}`. It is bound to the type, the subject and
 * the path, so a value that was moved cannot be decrypted. Deleting the keys of a subject makes all values that they
 * encrypted unreadable, in every copy; such a value decodes to {@linkcode Shredded}.
 *
 * @example Encrypt a sensitive field, and delete its key
 * ```ts
 * import { defineEvent, InMemoryBroker } from "@tidings/broker";
 * import { FieldEncryption, InMemoryKeyStore, Shredded } from "@tidings/broker/encryption";
 * import { assert, assertEquals } from "@std/assert";
 *
 * class BidderRegistered extends defineEvent("BidderRegistered", { sensitive: ["email"], encrypt: true })<
 *   { email: string | Shredded }
 * > {}
 *
 * const encryption = new FieldEncryption({ keys: new InMemoryKeyStore() });
 * await using broker = new InMemoryBroker({ events: [BidderRegistered], encryption });
 * await broker.publish(new BidderRegistered({ email: "ada@example.com" }, { subject: "bidder-1" }));
 *
 * const [event] = await Array.fromAsync(broker.history(BidderRegistered));
 * assertEquals(event?.detail.email, "ada@example.com");
 *
 * await encryption.delete("bidder-1");
 * const [shredded] = await Array.fromAsync(broker.history(BidderRegistered));
 * assert(shredded?.detail.email instanceof Shredded);
 * ```
 */
export class FieldEncryption implements DetailCipher {
  #keys: KeyStore;
  #ring: Keyring;

  /**
   * Makes a cipher over a key store.
   *
   * @throws {TypeError} If there is no key store.
   * @throws {RangeError} If `cacheFor` is not a number of at least 0.
   */
  constructor({ keys, cacheFor = 60_000 }: FieldEncryptionOptions) {
    if (typeof keys?.current !== "function") {
      throw new TypeError("Cannot encrypt fields without a key store: pass { keys }, such as a SqliteKeyStore");
    }
    if (!(cacheFor >= 0)) {
      throw new RangeError(`Cannot use ${cacheFor} as cacheFor (ms): give a number of at least 0`);
    }
    this.#keys = keys;
    this.#ring = new Keyring(keys, cacheFor);
  }

  /**
   * Returns a copy of the detail with the values at the paths encrypted. The broker calls it.
   *
   * @throws {TypeError} If the detail already has an object with the key `$enc`.
   * @throws {Error} If the key store fails.
   */
  async seal(detail: unknown, event: SealedEvent & { readonly paths: readonly string[] }): Promise<unknown> {
    const [conflict] = marksIn(detail);
    if (conflict !== undefined) {
      throw new TypeError(
        `${pathText(conflict.path)} has the key "${MARK}", which marks encrypted values; rename it`,
      );
    }
    const found = foundAt(detail, event.paths);
    if (found.length === 0) return detail;
    const { id, key } = await this.#ring.current(event.subject);
    const sealed = await Promise.all(found.map(async ({ value, path }) => {
      const iv = crypto.getRandomValues(new Uint8Array(IV_BYTES));
      const bound = { name: "AES-GCM", iv, additionalData: context(event, path) };
      const bytes = await crypto.subtle.encrypt(bound, key, new TextEncoder().encode(JSON.stringify(value)));
      return { path, value: { [MARK]: `${id}.${encodeBase64Url(iv)}.${encodeBase64Url(bytes)}` } };
    }));
    return withValues(detail, sealed);
  }

  /**
   * Returns a copy of a stored detail with all encrypted values decrypted. A value whose key was deleted becomes
   * {@linkcode Shredded}. The broker calls it.
   *
   * @throws {PermanentError} If an encrypted value was changed or moved, or is malformed.
   * @throws {Error} If the key store fails.
   */
  async open(
    detail: unknown,
    { type, subject }: { readonly type: string; readonly subject: string | undefined },
  ): Promise<{ detail: unknown; shredded: boolean }> {
    const marks = marksOf(detail);
    if (marks.length === 0) return { detail, shredded: false };
    if (subject === undefined) {
      throw new PermanentError(
        `it has no subject, and ${pathText(marks[0]!.path)} is encrypted with the key of its subject`,
      );
    }
    const opening = marks.map(async ({ value, path }) => {
      return { path, value: await this.#opened(value, { type, subject }, path) };
    });
    // If one value fails, wait for the others too, so that nothing goes on in the background.
    await Promise.allSettled(opening);
    const opened = await Promise.all(opening);
    const shredded = opened.some(({ value }) => value instanceof Shredded);
    return { detail: withValues(detail, opened), shredded };
  }

  async #opened(mark: unknown, event: SealedEvent, path: Path): Promise<unknown> {
    const sealed = sealedIn(mark as Record<string, unknown>);
    if (sealed === undefined) {
      throw new PermanentError(
        `${pathText(path)} is not an encrypted value: "${MARK}" must be "<key id>.<iv>.<ciphertext>"`,
      );
    }
    const { id, iv, bytes } = sealed;
    const found = await this.#ring.find(event.subject, id);
    if (found === undefined) return new Shredded();
    try {
      const bound = { name: "AES-GCM", iv, additionalData: context(event, path) };
      return JSON.parse(new TextDecoder().decode(await crypto.subtle.decrypt(bound, found.key, bytes)));
    } catch (error) {
      throw new PermanentError(
        `${pathText(path)} cannot be decrypted: it was changed, or moved from another field, subject or type`,
        { cause: error },
      );
    }
  }

  /**
   * Makes a new key for a subject, and resolves with its id. This process uses the key at once, other processes within
   * `cacheFor`. Values that were encrypted with earlier keys stay readable.
   *
   * @throws {Error} If the key store fails.
   */
  async rotate(subject: string): Promise<DataKey["id"]> {
    const { id } = await this.#keys.rotate(subject);
    this.#ring.forget(subject);
    return id;
  }

  /**
   * Deletes all keys of a subject. The values that they encrypted become unreadable: at once in this process, within
   * `cacheFor` in other processes. Resolves with false if there were no keys.
   *
   * @throws {Error} If the key store fails.
   */
  async delete(subject: string): Promise<boolean> {
    // Clear the cache before and after: otherwise it would keep a key that was looked up during the deletion.
    this.#ring.forget(subject);
    const deleted = await this.#keys.delete(subject);
    this.#ring.forget(subject);
    return deleted;
  }
}

/** The parts of an encrypted value; undefined if it is malformed. */
function sealedIn(mark: Readonly<Record<string, unknown>>) {
  const text = mark[MARK];
  const parts = typeof text === "string" && Object.keys(mark).length === 1 ? SEALED.exec(text) : null;
  if (parts === null) return undefined;
  try {
    return { id: parts[1]!, iv: decodeBase64Url(parts[2]!), bytes: decodeBase64Url(parts[3]!) };
  } catch {
    return undefined;
  }
}

function marksOf(detail: unknown): Found[] {
  try {
    return marksIn(detail);
  } catch (error) {
    throw new PermanentError(reasonOf(error), { cause: error });
  }
}

/** The authenticated data that binds a value to its place. */
function context({ type, subject }: SealedEvent, path: Path): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(JSON.stringify([type, subject, ...path]));
}
