/**
 * What the engine may conclude from a failure of a store:
 *
 * - `"transient"`: nothing was done, and the same call may succeed later (a server loading, a file locked);
 * - `"uncertain"`: it may or may not have been done (a connection lost before the reply);
 * - `"out-of-sequence"`: refused because of the producer's batch number: a gap, or a number already given up;
 * - `"forgotten"`: a batch was sent again, but the store no longer knows its producer, so it cannot tell whether the
 *   batch was appended;
 * - `"name-taken"`: another live consumer has this name in this group;
 * - `"group-busy"`: the group still has live consumers or unsettled work;
 * - `"group-deleted"`: the group was ended for good while this member used it;
 * - `"storage-lost"`: the file that holds the data was deleted or replaced; the store has to be opened again.
 */
export type StoreErrorKind =
  | "transient"
  | "uncertain"
  | "out-of-sequence"
  | "forgotten"
  | "name-taken"
  | "group-busy"
  | "group-deleted"
  | "storage-lost";

/** What a {@linkcode StoreError} carries beside its kind and message. */
export interface StoreErrorOptions extends ErrorOptions, Partial<Pick<StoreError, "holder" | "expiresIn">> {}

/**
 * A failure of a store, with a kind that the engine acts on. Every other error of a store counts as final: nothing was
 * done, and trying again would not help.
 */
export class StoreError extends Error {
  /** Always `"StoreError"`. */
  override readonly name = "StoreError";
  /** What the failure says about the work that was asked for. */
  readonly kind: StoreErrorKind;
  /** With `"name-taken"`: the consumer that has the name, as the store calls it. */
  readonly holder: string | undefined;
  /**
   * With `"name-taken"`: how long the holder's lease still runs, in milliseconds by the store's clock. While the holder
   * does not renew, this falls as time passes.
   */
  readonly expiresIn: number | undefined;

  /** Makes the error. */
  constructor(kind: StoreErrorKind, message: string, options: StoreErrorOptions = {}) {
    super(message, options);
    this.kind = kind;
    this.holder = options.holder;
    this.expiresIn = options.expiresIn;
  }
}
