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
  /** The store of the keys. */
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
 * Encrypts the sensitive fields of events by AES-256-GCM, with keys of their subjects: the option `encryption` of a
 * broker. An encrypted value in the payload is `{"$enc":"<key id>.<iv>.<ciphertext>"}`, bound to type, subject and path:
 * moved elsewhere it cannot be decrypted. Deleting the keys of a subject makes all values that they encrypted unreadable,
 * in every copy; such a value decodes to {@linkcode Shredded}.
 *
 * @example Sensitive fields that are encrypted at rest, until they are shredded
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
   * @throws {RangeError} If `cacheFor` is not a number from 0 on.
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
   * A copy of the detail with the values at the paths encrypted.
   *
   * @throws {TypeError} If the detail has an object with the key `$enc` already.
   */
  async seal(detail: unknown, event: SealedEvent & { readonly paths: readonly string[] }): Promise<unknown> {
    const [taken] = marksIn(detail);
    if (taken !== undefined) {
      throw new TypeError(
        `${pathText(taken.path)} has the key "${MARK}", which marks encrypted values; rename it`,
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
   * A copy of a stored detail with all encrypted values decrypted, or {@linkcode Shredded} where the key was deleted.
   *
   * @throws {PermanentError} If an encrypted value was changed, moved, or is malformed.
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
    // Wait for all of them also when one fails, so that none goes on in the background.
    await Promise.allSettled(opening);
    const opened = await Promise.all(opening);
    const shredded = opened.some(({ value }) => value instanceof Shredded);
    return { detail: withValues(detail, opened), shredded };
  }

  async #opened(mark: unknown, event: SealedEvent, path: Path): Promise<unknown> {
    const sealed = sealedIn(mark as Record<string, unknown>);
    if (sealed === undefined) {
      throw new PermanentError(
        `${pathText(path)} is no encrypted value: "${MARK}" must be "<key id>.<iv>.<ciphertext>"`,
      );
    }
    const { id, iv, bytes } = sealed;
    const ready = await this.#ring.find(event.subject, id);
    if (ready === undefined) return new Shredded();
    try {
      const bound = { name: "AES-GCM", iv, additionalData: context(event, path) };
      return JSON.parse(new TextDecoder().decode(await crypto.subtle.decrypt(bound, ready.key, bytes)));
    } catch (error) {
      throw new PermanentError(
        `${pathText(path)} cannot be decrypted: it was changed, or is of another field, subject or type`,
        { cause: error },
      );
    }
  }

  /** Makes a new key for a subject. This process uses it at once, other processes within `cacheFor`. */
  async rotate(subject: string): Promise<DataKey["id"]> {
    const { id } = await this.#keys.rotate(subject);
    this.#ring.forget(subject);
    return id;
  }

  /**
   * Deletes all keys of a subject: the values that they encrypted become unreadable, in this process at once, in others
   * within `cacheFor`. Resolves with false if there were no keys.
   */
  async delete(subject: string): Promise<boolean> {
    // Forgotten before and after: otherwise a lookup during the deletion would stay in the cache.
    this.#ring.forget(subject);
    const deleted = await this.#keys.delete(subject);
    this.#ring.forget(subject);
    return deleted;
  }
}

/** The parts of an encrypted value; undefined if it is none. */
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

function context({ type, subject }: SealedEvent, path: Path): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(JSON.stringify([type, subject, ...path]));
}
