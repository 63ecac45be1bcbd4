import { newDataKey } from "./_data_key.ts";
import type { DataKey, KeyStore } from "./key_store.ts";

/**
 * Keeps keys in memory, for tests. The keys are lost when the process ends, and with them all values that they encrypted in
 * a durable store.
 *
 * @example Make a key, and delete it
 * ```ts
 * import { InMemoryKeyStore } from "@tidings/broker/encryption";
 * import { assertEquals } from "@std/assert";
 *
 * const keys = new InMemoryKeyStore();
 * const { id } = await keys.current("bidder-1");
 * assertEquals((await keys.current("bidder-1")).id, id);
 * await keys.delete("bidder-1");
 * assertEquals(await keys.find("bidder-1", id), undefined);
 * ```
 */
export class InMemoryKeyStore implements KeyStore {
  /** The keys of each subject, the current one last. */
  #keys = new Map<string, DataKey[]>();

  /** The current key of a subject, made if there is none. */
  current(subject: string): Promise<DataKey> {
    const key = this.#keys.get(subject)?.at(-1);
    return key === undefined ? this.rotate(subject) : Promise.resolve(key);
  }

  /** A key of a subject; undefined if there is none with this id. */
  find(subject: string, id: string): Promise<DataKey | undefined> {
    return Promise.resolve(this.#keys.get(subject)?.find((key) => key.id === id));
  }

  /** Makes a new current key for a subject. Earlier keys stay. */
  rotate(subject: string): Promise<DataKey> {
    const key = newDataKey();
    const keys = this.#keys.get(subject);
    if (keys === undefined) this.#keys.set(subject, [key]);
    else keys.push(key);
    return Promise.resolve(key);
  }

  /** Deletes all keys of a subject; resolves with false if there were none. */
  delete(subject: string): Promise<boolean> {
    return Promise.resolve(this.#keys.delete(subject));
  }
}
