/**
 * Encrypts what classes with `encrypt` name as `sensitive`, before anything is stored, and decrypts it when it is read:
 * the option `encryption` of a broker. `@tidings/broker/encryption` has one.
 */
export interface DetailCipher {
  /**
   * A copy of the detail, which is what JSON can carry, with what is at the `paths` encrypted by a key of the `subject`.
   * A path leads through arrays into each element; what is not there is passed over. A rejection is that of `publish`:
   * nothing is stored then.
   */
  seal(detail: unknown, event: SealedEvent & { readonly paths: readonly string[] }): Promise<unknown>;

  /**
   * A copy of a stored detail with all decrypted that this cipher made, wherever it stands: later versions of the class
   * may look for it elsewhere. With `shredded`, the key of something in it is gone, and something else stands in its
   * place; no schema sees the detail then. Called only where the payload has the text `"$enc"`, also for classes
   * that do not encrypt any more.
   *
   * A rejection by a `PermanentError` makes the entry undecodable. Any other is a failed attempt, and comes again: key
   * stores may be away for a while.
   */
  open(
    detail: unknown,
    event: { readonly type: string; readonly subject: string | undefined },
  ): Promise<{ readonly detail: unknown; readonly shredded: boolean }>;
}

/** Whose detail is encrypted. */
export interface SealedEvent {
  /** The type of the event. */
  readonly type: string;
  /** Whose key encrypts it. */
  readonly subject: string;
}
