/**
 * Encrypts the `sensitive` fields of classes with `encrypt` before events are stored, and decrypts them when events are
 * read: the option `encryption` of a broker. `@tidings/broker/encryption` has an implementation.
 */
export interface DetailCipher {
  /**
   * A copy of the detail with the values at the `paths` encrypted by a key of the `subject`. The detail is a JSON value.
   * A path leads through arrays into each element; a path without a value is skipped. When this rejects, `publish`
   * rejects and nothing is stored.
   */
  seal(detail: unknown, event: SealedEvent & { readonly paths: readonly string[] }): Promise<unknown>;

  /**
   * A copy of a stored detail with all values decrypted that this cipher encrypted, at any path: a later version of the
   * class may name other paths. `shredded` says that a key was deleted and a placeholder stands for its value; the
   * schema does not validate such a detail. Called only when the payload has the text `"$enc"`, also for classes that
   * no longer encrypt.
   *
   * Rejecting with a `PermanentError` makes the entry undecodable. Any other rejection is a failed attempt, which is
   * retried, since a key store may be unreachable for a while.
   */
  open(
    detail: unknown,
    event: { readonly type: string; readonly subject: string | undefined },
  ): Promise<{ readonly detail: unknown; readonly shredded: boolean }>;
}

/** The event whose detail is encrypted. */
export interface SealedEvent {
  /** The type of the event. */
  readonly type: string;
  /** The subject of the event, whose key encrypts the detail. */
  readonly subject: string;
}
