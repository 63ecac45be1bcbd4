import type { StoredRecord } from "./event_store.ts";
import type { Position } from "./position.ts";
import type { SharedText } from "./shared_state.ts";

/** How to join a group. */
export interface MemberOptions {
  /** The consumer's name. The store appends an incarnation, which makes the store name unique. */
  readonly consumer: string;
  /** How long, in milliseconds, this consumer counts as alive after it joined, and after each renewal or claim. */
  readonly lease: number;
  /** Where a new group begins to read; a position is included. Ignored when the group exists. */
  readonly startFrom: "beginning" | "now" | Position;
  /**
   * The event types that this consumer handles, in ascending order; undefined for the one type that has the name of the
   * stream. The first member decides for the group, and the store keeps it.
   */
  readonly types?: readonly string[];
  /**
   * What the group does with later deliveries of a key whose event became a dead letter. The first member decides for the
   * group, and the store keeps it. @default {"continue"}
   */
  readonly whenDead?: WhenDead;
  /**
   * Whether the consumer is the only one in the group, so that order outlives its consumers. Three promises follow:
   *
   * - **Alone.** While it is alive, no other consumer joins, and it joins only while no other one is alive: `"occupied"`.
   *   Once it was given up for dead and another one has joined, it never comes back under this incarnation.
   * - **A clean cut.** When it joins, all other consumers of the group lose their deliveries at once.
   * - **In order.** Its claims return deliveries in order of position, and all of them before any unread entry, also those
   *   whose retry is not due yet: see {@linkcode ClaimedRecord.dueIn}. Only deferred deliveries are not part of the order.
   *
   * @default {false}
   */
  readonly exclusive?: boolean;
  /** Highest schema version this consumer understands; newer, deferred entries are not delivered to it. @default {1} */
  readonly version?: number;
  /**
   * How long, in milliseconds, a deferred entry waits for a consumer that understands its version. After that time this
   * consumer gets it too, marked `expired`. @default {Infinity}
   */
  readonly deferTimeout?: number;
}

/**
 * What a group does with later deliveries of a key whose event became a dead letter: it delivers them (`"continue"`), or
 * they wait in the store behind the letter until it is redriven or discarded (`"hold-key"`).
 */
export type WhenDead = "continue" | "hold-key";

/** A delivery: an entry that one consumer of a group holds until the delivery is settled or lost. */
export interface ClaimedRecord extends StoredRecord {
  /** The number of the coming attempt, from 1: one more than the failures that the store has counted. */
  readonly attempt: number;
  /** How many consumers died while they held it, since its last `retry`. A release does not change the number. */
  readonly recovered: number;
  /**
   * For an exclusive member: in how many milliseconds its retry is due. Undefined when the next attempt may start now. The
   * store keeps the due time, as for a held `retry`.
   */
  readonly dueIn?: number;
  /** True when its version is above this member's, and no consumer that understands it came within `deferTimeout`. */
  readonly expired?: boolean;
  /**
   * Identifies this delivery. No other delivery of the entry ever has the same fence. The engine passes it back unchanged
   * with every renewal and outcome, and does not interpret it.
   */
  readonly fence: string;
}

/** How to claim. */
export interface ClaimOptions {
  /**
   * The most entries to take. A call with 0 takes nothing and waits for nothing: it resolves with all records that an earlier
   * call had taken and not returned, because its signal aborted.
   */
  readonly limit: number;
  /** Ends the wait when it aborts; the claim then resolves. */
  readonly signal: AbortSignal;
  /**
   * Looks for unread entries first, and for returned deliveries only when there are none. An exclusive member ignores it.
   *
   * @default {false}
   */
  readonly newFirst?: boolean;
}

/** The result of a claim. */
export interface Claim {
  /** The deliveries that this consumer holds from now on, in order of position. */
  readonly records: readonly ClaimedRecord[];
  /**
   * Positions of unsettled deliveries whose entries were removed from the stream. The store has dropped these deliveries,
   * and reports each one once.
   */
  readonly missing: readonly Position[];
  /**
   * Entries that were removed from the stream before this group read them. The store tells the group once, by the claim
   * of one member, also after a restart. Gaps that were not told yet are joined to one range; `count` is their sum. Not
   * told: entries that were removed after the group had settled them, or before it was made.
   */
  readonly removed?: RemovedRange;
  /** True when this member may have lost deliveries since its last claim, by a rewind: `renew` says which. */
  readonly disturbed: boolean;
  /**
   * Set when the group holds keys, so that some of these deliveries may have to wait: `held` says which. It is the number of
   * {@linkcode HeldDeliveries.freed} as of this claim or before. Only for members with `whenDead: "hold-key"`. A key that
   * another consumer began to hold at about the same time may not be known yet.
   */
  readonly holding?: number;
  /** Set when the group was lost and this member made it again; all deliveries held before are lost. */
  readonly healed?: Healed;
  /**
   * The group's control, if it has changed since this member last learned of it: by a claim or by `control`. A new member
   * knows of none, so its first claim tells the control of a group that has had one. Such a claim does not wait, and it may
   * return records as well.
   */
  readonly control?: SharedText;
}

/** A gap in a stream: entries that were trimmed or deleted before a group read them. */
export interface RemovedRange {
  /** The lowest position that may be missing: that of the first removed entry, or the one after the last read entry. */
  readonly from: Position;
  /** The highest position that may be missing: that of the last removed entry, or the one before the next entry. */
  readonly to: Position;
  /** How many entries are missing; undefined where the store cannot tell. */
  readonly count: number | undefined;
}

/** How a group goes on after it was destroyed, or after its stream was deleted. */
export interface Healed {
  /** The first position that it reads; undefined when it begins with a new stream. */
  readonly from: Position | undefined;
  /** Whether entries that were settled before may be delivered again. */
  readonly mayRepeat: boolean;
}

/** Identifies one delivery. */
export interface DeliveryRef {
  /** The position of its entry. */
  readonly position: Position;
  /** The fence that the claim returned. */
  readonly fence: string;
}

/** A delivery, by the position and the key of its event. */
export interface KeyedDelivery {
  /** The position of its entry. */
  readonly position: Position;
  /** The key of its event. */
  readonly key: string;
}

/** Which deliveries have to wait behind a dead letter of their key. */
export interface HeldDeliveries {
  /** Their positions: those above the lowest position of the letters that hold the key. */
  readonly positions: readonly Position[];
  /** How many more deliveries may wait in this group. */
  readonly room: number;
  /**
   * A number that rises whenever letters cease to hold a key. If it is another one than that of the claim, deliveries of the
   * claim may have returned to the group before others of their key, and `wait` puts them in order again.
   */
  readonly freed: number;
}

/** How many deliveries of a group may wait behind dead letters at once, in each stream. */
export const MAX_WAITING = 10_000;

/** Why an event is a dead letter. */
export type DeadReason = "attempts" | "permanent" | "undecodable" | "died" | "version" | "held" | "expired";

/** The error of a failed attempt, as a dead letter keeps it. */
export interface ErrorRecord {
  /** The name of its class. */
  readonly name: string;
  /** Its message. */
  readonly message: string;
  /** Its stack trace. */
  readonly stack?: string;
  /** The issues that a schema found in the detail, with their paths; at most a hundred. */
  readonly issues?: readonly { readonly path: string; readonly message: string }[];
}

/**
 * What happens to a delivery:
 *
 * - `ack`: the delivery is done, and the group never gets its entry again;
 * - `skip`: as `ack`, for an entry that is of none of the group's types; the store counts it;
 * - `expire`: as `ack`, for an event that is not to be handled any more; the store counts it;
 * - `retry`: its `attempt`, from 1, failed. The store counts at least that many failures from now on, so reporting an
 *   attempt twice counts once. Any consumer may take the delivery once `delay` milliseconds have passed. With `hold` the
 *   consumer keeps the delivery and tries again itself; the store records the due time for recovery;
 * - `release`: the delivery goes back to the group, and no attempt is counted. Any consumer may take it, at once or after
 *   `delay` milliseconds;
 * - `defer`: the entry has a `version` above this member's. No attempt is counted. The delivery waits for a member that
 *   understands the version, or until it is `expired` for another. It stays pending, so trimming keeps its entry. If the
 *   entry was removed before, the delivery is released instead, and the next claim reports it as missing;
 * - `dead`: the delivery is acknowledged and its event becomes a dead letter of the group, in one step. If it has a `key`
 *   and the group has `whenDead: "hold-key"`, the letter holds the key: later deliveries of it have to wait;
 * - `wait`: the delivery waits in the store while its `key` is held by a letter of a lower position. No attempt is counted,
 *   and its due time is dropped. It stays pending, so trimming keeps its entry. It comes back, at once, when no such letter
 *   is left; also if there is none already, or if {@linkcode MAX_WAITING} deliveries wait. A group with
 *   `whenDead: "continue"` holds no keys, so that this is a `release`;
 * - `isolate`: the consumer keeps the delivery, starts its handler now, and runs nothing else. If the consumer dies before
 *   the delivery is settled, the store counts that as a failed attempt.
 */
export type Outcome =
  & DeliveryRef
  & (
    | { readonly kind: "ack" | "skip" | "expire" }
    | { readonly kind: "retry"; readonly attempt: number; readonly delay: number; readonly hold?: boolean }
    | { readonly kind: "release"; readonly delay?: number }
    | { readonly kind: "defer"; readonly version: number }
    | { readonly kind: "wait"; readonly key: string }
    | {
      readonly kind: "dead";
      readonly reason: DeadReason;
      readonly attempts: number;
      readonly error: ErrorRecord;
      readonly key?: string;
    }
    | { readonly kind: "isolate" }
  );

/**
 * One consumer in one group of one stream.
 *
 * It is alive until its own lease runs out, counted from its last renewal or claim. The leases of other consumers do not
 * matter. A delivery belongs to it until the delivery is settled or dropped by a rewind, until this consumer is dead and
 * another one has taken the delivery, or until the group is deleted.
 */
export interface GroupMember {
  /** The consumer's name in the store, unique among all that ever joined: `<name>.<incarnation>`. */
  readonly consumer: string;

  /**
   * Takes up to `limit` deliveries and waits until there is something to return: at least one delivery, or one of the
   * other members of {@linkcode Claim}.
   *
   * **Order.** One call takes from one of two sources. Returned deliveries come first: retries that are due, released
   * deliveries, deferred ones that this member understands or that are expired for it, and deliveries of dead consumers.
   * Deliveries that waited for their key, and redriven ones of groups with `whenDead: "hold-key"`, come before all other
   * returned ones, by position, also if `limit` lets only some of them come.
   * Only when there are none, the call takes entries that the group has not read. `newFirst` swaps the two; a caller that
   * alternates keeps neither source waiting for long. Records are in order of position. When more returned deliveries
   * are due than `limit`, the store chooses which come first. A store may find out up to a quarter of this member's lease
   * late that a deferred delivery is expired. For an exclusive member see {@linkcode MemberOptions.exclusive}.
   *
   * **Recovery.** A delivery of a dead consumer comes back with `recovered` raised by one. A retry is never taken before
   * it is due, also when its consumer has died; only an exclusive member gets it early, with `dueIn`.
   *
   * **Ending.** An aborted `signal` ends the wait: the call resolves, perhaps with records that it had already taken, and
   * does not reject. When a call rejects, a later call returns whatever it had taken. The engine makes one call at a time.
   *
   * Rejects with `"group-deleted"` when the group was deleted, also when a group of the same name was made since. Rejects
   * with `"name-taken"` when this consumer was given up for dead and another one has joined under its name, and with
   * `"types-differ"` while the group is for other types than this consumer handles, because `alterGroup` has changed them.
   * Rejects with `"occupied"` when it was given up for dead and a live consumer is exclusive, or it is exclusive itself and another
   * consumer has joined since.
   */
  claim(options: ClaimOptions): Promise<Claim>;

  /**
   * Renews this consumer's lease, and resolves with the positions of those deliveries in `held` that it no longer has. A
   * consumer that was given up for dead joins again by this call; where it cannot, the call rejects as `claim` does.
   * `stalled` tells `info` that the consumer takes nothing new because the deliveries it holds use all its room.
   */
  renew(held: readonly DeliveryRef[], options?: { readonly stalled?: boolean }): Promise<readonly Position[]>;

  /**
   * Applies the outcomes, each one atomically, and resolves with the positions of the refused ones. An outcome is refused
   * when this member no longer has exactly that delivery, or while the group is for other types than this consumer
   * handles; it then changes nothing.
   *
   * Calling again with the same outcomes after a failure is safe. Deliveries that the first call settled are refused the
   * second time. A held `retry` does not end its delivery, so it says which attempt it counts. The dead letter of an entry
   * that was removed from the stream has no fields.
   */
  settle(outcomes: readonly Outcome[]): Promise<readonly Position[]>;

  /**
   * Tells which of these deliveries have to wait, for members with `whenDead: "hold-key"`. To be called after the claim that
   * returned them. Changes nothing.
   */
  held(deliveries: readonly KeyedDelivery[]): Promise<HeldDeliveries>;

  /**
   * Reads the group's control, as {@linkcode StreamAdmin.control} does, at the cost of one small read. The engine calls it
   * now and then while it makes no claims. A group that does not exist has none.
   */
  control(): Promise<SharedText>;

  /**
   * Keeps a text beside a delivery under a name, in place of an earlier one of that name, until the delivery has ended: it
   * was settled by `ack`, `skip`, `expire` or `dead`, or was dropped. Every later consumer of the delivery can read it.
   * Resolves with false, and keeps nothing, when this member no longer has the delivery, as `settle` refuses. Calling again
   * after a failure is safe.
   *
   * @throws {RangeError} If the delivery would have more than 64 texts, or more than 64 KiB of names and texts.
   */
  keep(delivery: DeliveryRef, name: string, text: string): Promise<boolean>;

  /** The texts that are kept beside a delivery, by name. Changes nothing. */
  kept(delivery: DeliveryRef): Promise<Readonly<Record<string, string>>>;

  /**
   * Ends this member in one step: releases the deliveries that it still holds, without counting an attempt and keeping
   * their due times, and removes the consumer if it then holds nothing. Resolves with false if the consumer could not be
   * removed. Also ends a claim that waits. While the group is for other types, it releases nothing: the group recovers the
   * deliveries as those of a dead consumer.
   */
  leave(): Promise<boolean>;
}
