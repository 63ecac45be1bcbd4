/**
 * What a store's failure says about the work that was asked for:
 *
 * - `"transient"`: nothing was done, and the same call may succeed later (a server loading, a file locked);
 * - `"uncertain"`: it may or may not have been done (a connection lost before the reply);
 * - `"out-of-sequence"`: refused because of the producer's batch number: a gap, or a number already given up;
 * - `"forgotten"`: a batch sent again to a store that no longer knows its producer: nobody can tell any more;
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

/**
 * A failure whose kind the engine acts on. Anything else that a store throws is taken as final: nothing was done, and
 * trying again would not help.
 */
export class StoreError extends Error {
  /** Always `"StoreError"`. */
  override readonly name = "StoreError";
  /** What the failure says about the work that was asked for. */
  readonly kind: StoreErrorKind;

  /** Makes the error. */
  constructor(kind: StoreErrorKind, message: string, options?: ErrorOptions) {
    super(message, options);
    this.kind = kind;
  }
}
