import type { DataKey, KeyStore } from "./key_store.ts";

// The most subjects whose keys are cached; the oldest one is removed first.
const MAX_SUBJECTS = 10_000;
const ID = /^[\w-]{1,64}$/;

/** A key imported into WebCrypto. */
export interface ImportedKey {
  readonly id: string;
  readonly key: CryptoKey;
}

interface Subject {
  /** When its keys were first requested, in milliseconds since the epoch. */
  readonly since: number;
  current: Promise<ImportedKey> | undefined;
  readonly byId: Map<string, Promise<ImportedKey | undefined>>;
}

/** Caches keys, so that the key store is not asked for every event. */
export class Keyring {
  #store: KeyStore;
  #cacheFor: number;
  #subjects = new Map<string, Subject>();

  constructor(store: KeyStore, cacheFor: number) {
    this.#store = store;
    this.#cacheFor = cacheFor;
  }

  /** The key to encrypt new values of a subject with. */
  current(subject: string): Promise<ImportedKey> {
    const known = this.#of(subject);
    known.current ??= this.#cached(subject, known, async () => {
      const key = await imported(subject, await this.#store.current(subject));
      known.byId.set(key.id, Promise.resolve(key));
      return key;
    });
    return known.current;
  }

  /** The key of a subject by its id; undefined if it was deleted. */
  find(subject: string, id: string): Promise<ImportedKey | undefined> {
    const known = this.#of(subject);
    let key = known.byId.get(id);
    if (key === undefined) {
      key = this.#cached(subject, known, async () => {
        const found = await this.#store.find(subject, id);
        // A missing key is not cached: it may be restored from a backup of the key store.
        if (found === undefined) known.byId.delete(id);
        return found && await imported(subject, found);
      });
      known.byId.set(id, key);
    }
    return key;
  }

  /** Removes the keys of a subject from the cache. */
  forget(subject: string): void {
    this.#subjects.delete(subject);
  }

  #of(subject: string): Subject {
    const now = Date.now();
    const known = this.#subjects.get(subject);
    if (known !== undefined && now - known.since < this.#cacheFor && now >= known.since) return known;
    this.#subjects.delete(subject);
    const fresh = { since: now, current: undefined, byId: new Map() };
    this.#subjects.set(subject, fresh);
    for (const oldest of this.#subjects.keys()) {
      if (this.#subjects.size <= MAX_SUBJECTS) break;
      this.#subjects.delete(oldest);
    }
    return fresh;
  }

  // A failure is not cached, so that the next call asks the key store again.
  async #cached<T>(subject: string, known: Subject, ask: () => Promise<T>): Promise<T> {
    try {
      return await ask();
    } catch (error) {
      if (this.#subjects.get(subject) === known) this.#subjects.delete(subject);
      throw error;
    }
  }
}

async function imported(subject: string, { id, secret }: DataKey): Promise<ImportedKey> {
  if (!ID.test(id)) {
    throw new TypeError(
      `Cannot use the key ${JSON.stringify(id)} of ${JSON.stringify(subject)}: its id must be 1 to 64 of A-Z, a-z, ` +
        `0-9, "-" and "_"`,
    );
  }
  if (secret.length !== 32) {
    throw new TypeError(
      `Cannot use the key ${id} of ${JSON.stringify(subject)}: it has ${secret.length} bytes; give 32`,
    );
  }
  return { id, key: await crypto.subtle.importKey("raw", secret, "AES-GCM", false, ["encrypt", "decrypt"]) };
}
