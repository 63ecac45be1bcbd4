/** A key that data is encrypted with. */
export interface DataKey {
  /** Unique among the keys of its subject: letters, digits, `-` and `_`. It is stored with each value that it encrypts. */
  readonly id: string;
  /** 32 random bytes, for AES-256. */
  readonly secret: Uint8Array<ArrayBuffer>;
}

/**
 * Keeps the keys of subjects: of the people or things that events are about. Its keys decrypt all encrypted values, so keep
 * it and its backups apart from the events: once a key is deleted in both, the values that it encrypted are unreadable in
 * every copy.
 *
 * A rejection says that the store could not be reached: `publish` rejects then, and a delivery is retried.
 */
export interface KeyStore {
  /** The current key of a subject, made if there is none. Concurrent callers get the same key. */
  current(subject: string): Promise<DataKey>;

  /** A key of a subject, which need not be the current one; undefined if it was deleted. */
  find(subject: string, id: string): Promise<DataKey | undefined>;

  /** Makes a new current key for a subject. Earlier keys stay: the values that they encrypted can still be read. */
  rotate(subject: string): Promise<DataKey>;

  /** Deletes all keys of a subject for good; resolves with false if there were none. */
  delete(subject: string): Promise<boolean>;
}
