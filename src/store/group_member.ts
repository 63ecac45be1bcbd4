import type { StoredRecord } from "./event_store.ts";
import type { Position } from "./position.ts";

/** How to join a group. */
export interface MemberOptions {
  /** The consumer's name, as people know it; the store adds an incarnation of its own. */
  readonly consumer: string;
  /** How long, in milliseconds, this consumer counts as alive after it joined, or last renewed or claimed. */
  readonly lease: number;
  /** Where a new group begins: a position is the first one it gets. */
  readonly startFrom: "beginning" | "now" | Position;
  /** Up to which version it knows the entries: of what was deferred, it is given what is not above. @default {1} */
  readonly version?: number;
  /**
   * How long, in milliseconds, what was deferred waits for a member that knows it; from then on it comes to this one,
   * too, as `expired`. @default {Infinity}
   */
  readonly deferTimeout?: number;
}

/** An entry handed to one consumer of a group, until it is settled or lost. */
export interface ClaimedRecord extends StoredRecord {
  /** Which attempt this would be, from 1: one more than the failures counted in the store. */
  readonly attempt: number;
  /** How often it came back from a consumer that died, since its last `retry`; a release changes nothing. */
  readonly recovered: number;
  /** True when it was deferred, above this member's version, and nobody that knows it came within `deferTimeout`. */
  readonly expired?: boolean;
  /** Which delivery this is, unlike any other of that entry ever; given back unread with every renewal and outcome. */
  readonly fence: string;
}

/** How to claim. */
export interface ClaimOptions {
  /** The most entries to take, at least 1. */
  readonly limit: number;
  /** Ends the wait. */
  readonly signal: AbortSignal;
  /** Serves what the group has not read before what came back to it. @default {false} */
  readonly newFirst?: boolean;
}

/** What one claim found. */
export interface Claim {
  /** What is this consumer's from now on, in order of position. */
  readonly records: readonly ClaimedRecord[];
  /** Deliveries of this group whose entries somebody removed from the stream: they are settled now, and lost. */
  readonly missing: readonly Position[];
  /** Entries that were removed from the stream before this group read them; set once for each such gap. */
  readonly removed?: RemovedRange;
  /** True when something may have been taken from this member meanwhile (a rewind): renewing tells what. */
  readonly disturbed: boolean;
  /** Set when the group had been lost, and was made again by this member; everything held before is lost. */
  readonly healed?: Healed;
}

/** A gap in a stream: entries that somebody trimmed or deleted before a group read them. */
export interface RemovedRange {
  /** The lowest position that may be missing: the one after the last entry that the group read. */
  readonly from: Position;
  /** The highest position that may be missing: the one before the next entry that the group reads. */
  readonly to: Position;
  /** How many entries are missing; undefined where the store cannot tell. */
  readonly count: number | undefined;
}

/** How a group goes on that somebody destroyed, or whose stream is gone. */
export interface Healed {
  /** The first position that it reads; undefined when it begins with a new stream. */
  readonly from: Position | undefined;
  /** Whether something may come again that was settled before. */
  readonly mayRepeat: boolean;
}

/** Names one delivery. */
export interface DeliveryRef {
  /** Where its entry stands. */
  readonly position: Position;
  /** What the claim said. */
  readonly fence: string;
}

/** Why an event lies among the dead letters. */
export type DeadReason = "attempts" | "permanent" | "undecodable" | "died" | "version";

/** An error as a dead letter keeps it. */
export interface ErrorRecord {
  /** The class of error. */
  readonly name: string;
  /** What it says. */
  readonly message: string;
  /** Where it was thrown. */
  readonly stack?: string;
  /** What a schema had against the detail, and where; the first hundred. */
  readonly issues?: readonly { readonly path: string; readonly message: string }[];
}

/**
 * How a delivery ended, or went on:
 *
 * - `ack`: done, never again;
 * - `retry`: its `attempt`, from 1, failed: at least so many failures are counted from now on, so that telling twice
 *   counts once. It comes again to any consumer once `delay` ms have passed. With `hold` it stays this consumer's, who
 *   will wait and try again: the due time is stored all the same, for whoever recovers it;
 * - `release`: handed back, nothing counted, for anyone to take at once or after `delay`;
 * - `defer`: its entry is of a `version`, above this member's, that is not known here: nothing is counted, and the
 *   delivery waits for a member that knows the version, which takes it like what was handed back, or until it is
 *   `expired`. It stays pending all the while, so that nothing trims its entry;
 * - `dead`: moved to the group's dead letters, in one step with its acknowledgement;
 * - `isolate`: still held; says that its handler starts now and that nothing else runs in this consumer. If the
 *   consumer dies before it settles, that counts as an attempt.
 */
export type Outcome =
  & DeliveryRef
  & (
    | { readonly kind: "ack" }
    | { readonly kind: "retry"; readonly attempt: number; readonly delay: number; readonly hold?: boolean }
    | { readonly kind: "release"; readonly delay?: number }
    | { readonly kind: "defer"; readonly version: number }
    | { readonly kind: "dead"; readonly reason: DeadReason; readonly attempts: number; readonly error: ErrorRecord }
    | { readonly kind: "isolate" }
  );

/**
 * One consumer in one group of one stream. It is alive until its lease runs out, counted from the last renewal or
 * claim, whatever the lease of those who look. Deliveries belong to it until they settle, until it is dead and another
 * took them, until a rewind dropped them, or until the group was deleted.
 */
export interface GroupMember {
  /** The consumer's name in the store, unique among all that ever joined: `<name>.<incarnation>`. */
  readonly consumer: string;

  /**
   * Takes up to `limit` entries, at least 1. A call serves one source: retries that are due, what was handed back, what
   * was deferred and is known here or expired, and what dead consumers held; only when there is none, entries that the group has not read; with `newFirst` the other way
   * round, so that whoever takes turns keeps neither waiting for long. Either way they come in
   * order of position; which of those that are due come first, when they are more than `limit`, is the store's choice.
   * What a dead consumer held comes back with `recovered` raised; a retry that is not due yet is never taken early,
   * whoever held it. Waits until there is something to return. An aborted `signal` ends the wait by resolving, perhaps with records
   * that were taken on the way, never by rejecting. One call at a time. When it rejects, whatever it took all the same
   * comes with a later call.
   *
   * Rejects with `"group-deleted"` when the group was deleted, also when one of that name was made anew, and with
   * `"name-taken"` when this consumer was given up and another of its name has joined since.
   */
  claim(options: ClaimOptions): Promise<Claim>;

  /**
   * Renews this consumer's lease, and resolves with the positions of those among `held` that it no longer has. A
   * consumer that was already given up joins again by this; rejects as `claim` does where it cannot. `stalled` says that it takes nothing new because what it
   * holds fills it; `info` shows it.
   */
  renew(held: readonly DeliveryRef[], options?: { readonly stalled?: boolean }): Promise<readonly Position[]>;

  /**
   * Settles deliveries, each atomically, and resolves with the positions of those refused because this member no
   * longer has that very delivery. A refused outcome changes nothing. Calling again with the same outcomes after a
   * failure is safe: what was settled the first time is refused the second time, and a `retry` that is held, which
   * leaves the delivery what it was, says which attempt it counts. A letter whose entry is gone from the stream has no
   * fields.
   */
  settle(outcomes: readonly Outcome[]): Promise<readonly Position[]>;

  /**
   * Ends this member, in one step: hands back, uncounted, what it still holds (keeping due times), and removes the
   * consumer if it then holds nothing. Resolves with false if the consumer had to stay. Ends a claim that waits.
   */
  leave(): Promise<boolean>;
}
