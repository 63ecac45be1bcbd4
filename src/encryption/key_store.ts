/** A key that encrypts values. */
export interface DataKey {
  /** Unique among the keys of its subject: 1 to 64 letters, digits, `-` and `_`. Stored with each value that it encrypts. */
  readonly id: string;
  /** 32 random bytes, for AES-256. */
  readonly secret: Uint8Array<ArrayBuffer>;
}

/**
 * Keeps the keys of subjects, which are the people or things that events are about.
 *
 * These keys decrypt all encrypted values, so keep the key store and its backups apart from the events. Once a key is
 * deleted from the key store and its backups, the values that it encrypted are unreadable in every copy.
 *
 * A method that rejects means that the key store cannot be reached. `publish` then rejects, and a delivery is retried.
 */
export interface KeyStore {
  /** The current key of a subject, made if there is none. Concurrent callers get the same key. */
  current(subject: string): Promise<DataKey>;

  /** The key of a subject with this id, current or earlier; undefined if it was deleted. */
  find(subject: string, id: string): Promise<DataKey | undefined>;

  /** Makes a new current key for a subject. Earlier keys stay: the values that they encrypted can still be read. */
  rotate(subject: string): Promise<DataKey>;

  /** Deletes all keys of a subject for good; resolves with false if there were none. */
  delete(subject: string): Promise<boolean>;
}
