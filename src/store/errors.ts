/**
 * Why a call of a store failed, and what the engine may conclude:
 *
 * - `"transient"`: the call changed nothing, and may succeed later (the server is loading, the file is locked);
 * - `"uncertain"`: the call may or may not have been executed (the connection was lost before the reply);
 * - `"out-of-sequence"`: the number of the batch was refused: it leaves a gap, or the batch was given up before;
 * - `"forgotten"`: a batch was sent again, but the store no longer knows its producer, so it cannot tell whether the
 *   batch was appended;
 * - `"layout-changed"`: the stream was chosen by a layout that is no longer in force; the batch is decided, and nothing
 *   was stored;
 * - `"conflict"`: the subject has another revision than the expected one;
 * - `"name-taken"`: another live consumer has this name in this group;
 * - `"occupied"`: a live consumer has the group to itself, or this consumer wants that and another one is alive or has
 *   joined since;
 * - `"types-differ"`: the group is for other event types than this consumer handles;
 * - `"partitions-differ"`: the stream has another number of partitions than this broker was told;
 * - `"policy-differs"`: the group has another `whenDead` than this consumer;
 * - `"assignment-differs"`: the group reads the partitions of a stream in another way than this consumer;
 * - `"group-busy"`: the group still has live consumers, unsettled deliveries or dead letters;
 * - `"group-deleted"`: the group was deleted while this member used it;
 * - `"storage-lost"`: the file that holds the data was deleted or replaced; the store must be opened again.
 */
export type StoreErrorKind =
  | "transient"
  | "uncertain"
  | "out-of-sequence"
  | "forgotten"
  | "layout-changed"
  | "conflict"
  | "name-taken"
  | "occupied"
  | "types-differ"
  | "partitions-differ"
  | "policy-differs"
  | "assignment-differs"
  | "group-busy"
  | "group-deleted"
  | "storage-lost";

/** The cause of a {@linkcode StoreError}, and the data of a `"name-taken"`, `"occupied"` or `"conflict"` error. */
export interface StoreErrorOptions
  extends ErrorOptions, Partial<Pick<StoreError, "holder" | "expiresIn" | "revision">> {}

/**
 * A failure of a store, with a kind that the engine acts on. Any other error of a store is final: the call changed nothing,
 * and calling again would not help.
 *
 * @example Refuse a name that is taken
 * ```ts
 * import { StoreError } from "@tidings/broker/store";
 * import { assertEquals } from "@std/assert";
 *
 * const error = new StoreError("name-taken", 'Cannot join group "payments" as "a": a.1 is alive under that name', {
 *   holder: "a.1",
 *   expiresIn: 12_000,
 * });
 * assertEquals([error.kind, error.expiresIn], ["name-taken", 12_000]);
 * ```
 */
export class StoreError extends Error {
  /** Always `"StoreError"`. */
  override readonly name = "StoreError";
  /** Why the call failed. */
  readonly kind: StoreErrorKind;
  /** With `"name-taken"` and `"occupied"`: the store name of the live consumer in the way; undefined if it is gone. */
  readonly holder: string | undefined;
  /**
   * When the holder's lease runs out, in milliseconds from now by the store's clock, unless the holder renews it. Undefined
   * without a holder.
   */
  readonly expiresIn: number | undefined;
  /** With `"conflict"`: the revision that the subject has, 0 without entries. */
  readonly revision: number | undefined;

  /** Makes the error. */
  constructor(kind: StoreErrorKind, message: string, options: StoreErrorOptions = {}) {
    super(message, options);
    this.kind = kind;
    this.holder = options.holder;
    this.expiresIn = options.expiresIn;
    this.revision = options.revision;
  }
}
