/** What a {@linkcode SharedState} holds at one moment. */
export interface SharedText {
  /** The text; undefined before the first write, and after it was removed. */
  readonly text: string | undefined;
  /** Rises with each write; 0 before the first one. */
  readonly version: number;
  /** The time of the read by the store's clock, in milliseconds since the epoch. */
  readonly now: number;
}

/**
 * A small text that the processes of a stream share, for example who reads which partition. It is changed by
 * compare-and-set: read it, decide, and write the new text if the version is still the same; otherwise begin again.
 *
 * After a lost answer the caller reads again to see whether its text is there.
 */
export interface SharedState {
  /** Reads the text and its version. */
  read(): Promise<SharedText>;

  /**
   * Replaces the text if its version is still `version`, as durably as an append; undefined removes it. Resolves with
   * true if it wrote, and with false if another write came first. A version is never used twice, also when the text was
   * removed in between. The text must be well-formed and hold no U+0000. Rejects with a RangeError if it has more than
   * 64 KiB in UTF-8.
   */
  write(text: string | undefined, version: number): Promise<boolean>;
}
