import type { DataKey, KeyStore } from "./key_store.ts";

// The most subjects whose keys are cached; the oldest one is removed first.
const MOST = 10_000;
const ID = /^[\w-]{1,64}$/;

/** A key as WebCrypto takes it. */
export interface ReadyKey {
  readonly id: string;
  readonly key: CryptoKey;
}

interface Subject {
  /** When its keys were first requested, in milliseconds since the epoch. */
  readonly since: number;
  current: Promise<ReadyKey> | undefined;
  readonly byId: Map<string, Promise<ReadyKey | undefined>>;
}

/** A cache of keys, so that the key store is not asked for every event. */
export class Keyring {
  #store: KeyStore;
  #cacheFor: number;
  #subjects = new Map<string, Subject>();

  constructor(store: KeyStore, cacheFor: number) {
    this.#store = store;
    this.#cacheFor = cacheFor;
  }

  current(subject: string): Promise<ReadyKey> {
    const known = this.#of(subject);
    known.current ??= this.#remembered(subject, known, async () => {
      const key = await ready(subject, await this.#store.current(subject));
      known.byId.set(key.id, Promise.resolve(key));
      return key;
    });
    return known.current;
  }

  find(subject: string, id: string): Promise<ReadyKey | undefined> {
    const known = this.#of(subject);
    let key = known.byId.get(id);
    if (key === undefined) {
      key = this.#remembered(subject, known, async () => {
        const found = await this.#store.find(subject, id);
        // A missing key is not cached: it may be restored from a backup of the key store.
        if (found === undefined) known.byId.delete(id);
        return found && await ready(subject, found);
      });
      known.byId.set(id, key);
    }
    return key;
  }

  forget(subject: string): void {
    this.#subjects.delete(subject);
  }

  #of(subject: string): Subject {
    const now = Date.now();
    const known = this.#subjects.get(subject);
    if (known !== undefined && now - known.since < this.#cacheFor && now >= known.since) return known;
    this.#subjects.delete(subject);
    const made = { since: now, current: undefined, byId: new Map() };
    this.#subjects.set(subject, made);
    for (const oldest of this.#subjects.keys()) {
      if (this.#subjects.size <= MOST) break;
      this.#subjects.delete(oldest);
    }
    return made;
  }

  // A failure is not cached: the key store is asked again.
  async #remembered<T>(subject: string, known: Subject, ask: () => Promise<T>): Promise<T> {
    try {
      return await ask();
    } catch (error) {
      if (this.#subjects.get(subject) === known) this.#subjects.delete(subject);
      throw error;
    }
  }
}

async function ready(subject: string, { id, secret }: DataKey): Promise<ReadyKey> {
  if (!ID.test(id)) {
    throw new TypeError(
      `Cannot use the key ${JSON.stringify(id)} of ${JSON.stringify(subject)}: its id must be 1 to 64 of A-Z, a-z, ` +
        `0-9, "-" and "_"`,
    );
  }
  if (secret.length !== 32) {
    throw new TypeError(
      `Cannot use the key ${id} of ${JSON.stringify(subject)}: it has ${secret.length} bytes, not 32`,
    );
  }
  return { id, key: await crypto.subtle.importKey("raw", secret, "AES-GCM", false, ["encrypt", "decrypt"]) };
}
