/** A key that data is encrypted with. */
export interface DataKey {
  /** Names it among the keys of its subject: letters, digits, `-` and `_`. It is stored beside what it encrypts. */
  readonly id: string;
  /** 32 random bytes, for AES-256. */
  readonly secret: Uint8Array<ArrayBuffer>;
}

/**
 * Keeps the keys of subjects: the people, or whatever else, that events are about. Whoever can read it can read all that
 * is encrypted, so that it belongs elsewhere than the events, and so do its backups: what is deleted here, and in those,
 * is unreadable wherever it was copied to.
 *
 * A rejection says that the store could not be asked; whoever publishes hears of it, and what is read is tried again.
 */
export interface KeyStore {
  /** The key that encrypts what is said of a subject from now on; made where there is none. All who ask get the same. */
  current(subject: string): Promise<DataKey>;

  /** A key of a subject, also one that is not the current one any more; undefined if it was deleted. */
  find(subject: string, id: string): Promise<DataKey | undefined>;

  /** Makes a new current key for a subject. Earlier ones stay: what they encrypted can still be read. */
  rotate(subject: string): Promise<DataKey>;

  /** Deletes all keys of a subject for good; resolves with false if there were none. */
  delete(subject: string): Promise<boolean>;
}
