// deno-lint-ignore no-unused-vars -- the comment of `fence` links to AppendOptions
import type { AppendOptions, StoredRecord } from "./event_store.ts";
// deno-lint-ignore no-unused-vars -- the comment of `control` links to Claim
import type { Claim, DeadReason, ErrorRecord, WhenDead } from "./group_member.ts";
import type { Position } from "./position.ts";
import type { SharedState } from "./shared_state.ts";

/** The state of a consumer. */
export interface ConsumerState {
  /** Its name in the store: `<name>.<incarnation>`. */
  readonly name: string;
  /** How many deliveries it holds. */
  readonly pending: number;
  /** Whether its lease is running. */
  readonly alive: boolean;
  /** Whether it takes nothing new because the deliveries that it holds use all its room. */
  readonly stalled: boolean;
}

/** The deferred deliveries of one schema version. */
export interface DeferredState {
  /** The version of the entries. */
  readonly version: number;
  /** How many deliveries wait for a consumer that understands this version. */
  readonly pending: number;
}

/** The keys that a group holds, with `whenDead: "hold-key"`. */
export interface HeldState {
  /** How many keys have a dead letter that holds them. */
  readonly keys: number;
  /** How many deliveries wait behind these letters. */
  readonly waiting: number;
  /** The lowest position of these letters; undefined when no key is held. A store may leave it out for more than 10,000 keys. */
  readonly from: Position | undefined;
}

/** The state of a group. */
export interface GroupState {
  /** Its name. */
  readonly name: string;
  /** Unsettled deliveries: held by a consumer, waiting for a retry or for their key, released, deferred or redriven. */
  readonly pending: number;
  /** Unsettled deliveries whose retry is not due yet. */
  readonly retrying: number;
  /** Deferred deliveries by version, the lowest version first. */
  readonly deferred: readonly DeferredState[];
  /** The event types that it is for; undefined for the one type that has the name of the stream. */
  readonly types: readonly string[] | undefined;
  /** How many entries of other types it has settled unseen. */
  readonly skipped: number;
  /** How many expired events it has settled without handling them. */
  readonly expired: number;
  /** What it does with later deliveries of a key whose event became a dead letter. */
  readonly whenDead: WhenDead;
  /** The keys that it holds. */
  readonly held: HeldState;
  /** How many dead letters it has. */
  readonly deadLetters: number;
  /**
   * When the last attempt of its oldest dead letter failed, in milliseconds since the epoch: `lastFailedAt` of the letter
   * that `list` gives first. Undefined when it has none.
   */
  readonly oldestDeadLetter: number | undefined;
  /** Entries the group has not read yet. */
  readonly lag: number;
  /** False when `lag` is a lower bound. */
  readonly lagIsExact: boolean;
  /**
   * The first position that it has not settled or not read, also when that entry was trimmed; undefined when it has read
   * and settled everything.
   */
  readonly floor: Position | undefined;
  /** The text of its control; undefined without one. */
  readonly control: string | undefined;
  /** Its consumers. */
  readonly consumers: readonly ConsumerState[];
}

/** The state of a stream. */
export interface StreamState {
  /** How many entries it holds. */
  readonly length: number;
  /**
   * How many bytes it takes, as the store measures them: this is the number that `trim` compares with `maxBytes`.
   * Undefined when this user may not know.
   */
  readonly bytes: number | undefined;
  /** The position of its oldest entry. */
  readonly first: Position | undefined;
  /** The highest position that it ever gave, also when that entry was removed. */
  readonly last: Position | undefined;
  /** Its groups. */
  readonly groups: readonly GroupState[];
}

/** The bounds of a stream: an entry beyond any of them is removed. */
export interface TrimOptions {
  /** The greatest age of an entry, in milliseconds, by the time in its position. */
  readonly maxAge?: number;
  /** The largest number of entries. */
  readonly maxLength?: number;
  /**
   * The largest number of bytes, as {@linkcode StreamState.bytes} counts them. The oldest entries are removed until the
   * rest fits. A store that measures approximately may remove a few entries more.
   */
  readonly maxBytes?: number;
  /**
   * Also removes entries that a group has not read or not settled. The next claims tell the group: by `removed` about
   * unread entries, by `missing` about unsettled deliveries.
   */
  readonly force?: boolean;
}

/** The result of trimming. */
export interface TrimResult {
  /** How many entries were removed. */
  readonly removed: number;
  /** The group that is furthest behind, if it kept entries from being removed. */
  readonly pinnedBy: string | undefined;
}

/** A dead letter: an event that a group gave up. */
export interface LetterRecord extends StoredRecord {
  /** Unique among the dead letters of its group, and greater than the ids before it. */
  readonly id: string;
  /** Why the group gave the event up. */
  readonly reason: DeadReason;
  /** How many attempts were counted. */
  readonly attempts: number;
  /** When the first attempt failed, in milliseconds since the epoch. */
  readonly firstFailedAt: number;
  /** When the last attempt failed, in milliseconds since the epoch. */
  readonly lastFailedAt: number;
  /** The store name of the consumer that gave it up. */
  readonly consumer: string;
  /** The error of the last attempt. */
  readonly error: ErrorRecord;
  /** The key of its event, if the consumer gave it. */
  readonly key?: string;
}

/** Which dead letters to discard: those with these `ids`, or those beyond the bounds; all of them without any. */
export interface DiscardOptions {
  /** The letters' ids. Not together with the bounds. */
  readonly ids?: readonly string[];
  /** Discards letters whose last attempt failed longer ago than this, in milliseconds. */
  readonly maxAge?: number;
  /** Discards the oldest letters beyond so many. */
  readonly maxLength?: number;
}

/** The dead letters of one group. */
export interface DeadLetterBox {
  /**
   * Lists the letters in pages, oldest first. A page is fetched when the caller asks for it, and is never empty. Letters
   * that come after the first page was fetched are left out.
   */
  list(options?: { readonly signal?: AbortSignal }): AsyncIterable<readonly LetterRecord[]>;

  /**
   * Removes the letters (all, or those named) and delivers their events to this group again, each in one step. Attempts
   * and recoveries start at zero. Other groups get nothing. An event whose entry was removed from the stream is delivered
   * from its letter. If the group has an unsettled delivery of the event, or has not read it yet, the letter is only
   * removed. Resolves with the number of removed letters.
   *
   * In the same step as a letter that holds its key, deliveries that wait behind no other letter return to the group, after
   * the redriven one. That is so for `discard`, too.
   */
  redrive(ids?: readonly string[]): Promise<number>;

  /** Removes letters for good (all, the named ones, or those past the bounds); resolves with how many. */
  discard(which?: DiscardOptions): Promise<number>;
}

/** What to change of a group. */
export interface GroupChange {
  /** The event types that it is for; undefined for the one type that has the name of the stream. */
  readonly types: readonly string[] | undefined;
  /** What it does with later deliveries of a key whose event became a dead letter. @default {unchanged} */
  readonly whenDead?: WhenDead | undefined;
}

/** The operations on one stream. */
export interface StreamAdmin {
  /** The state of the stream and its groups, all of it at one moment. */
  info(): Promise<StreamState>;

  /**
   * Resolves with the reason why the store would refuse an append to this stream now, for example because it is full or
   * read-only; with undefined when it would take the append, or when this user may not know. Rejects when the store cannot
   * be reached. Writes nothing, and costs no more than a read.
   */
  writeRefusal(): Promise<Error | undefined>;

  /** Removes old entries. Without `force`, keeps every entry that some group has not read or not settled. */
  trim(options: TrimOptions): Promise<TrimResult>;

  /**
   * Moves a group in one step. `to` is the next position that it reads; with `"now"` that is the next appended entry.
   * Unsettled deliveries at or after `to` are dropped, and late settles of them are refused. Earlier deliveries stay. This
   * includes deliveries whose entries were removed from the stream; `"beginning"` drops all of them. Letters at or after
   * `to` hold their keys no longer, because their events come again. Resolves with the number of dropped deliveries, and with the position of the first entry to read if it exists already. Rejects with a
   * RangeError that names the existing groups if there is no group of that name.
   */
  rewind(group: string, to: "beginning" | "now" | Position): Promise<{ dropped: number; first: Position | undefined }>;

  /**
   * Changes the event types that a group is for, and its `whenDead` if that is given, in one step; as in
   * {@linkcode MemberOptions}. Entries that it has settled stay settled. With `"continue"` no letter holds its key any more,
   * and waiting deliveries return to the group. A consumer of other types or with another `whenDead`, which was given up for
   * dead before, can neither claim nor settle from then on. Rejects with `"group-busy"` while the group has live consumers,
   * which would skip entries of the
   * new types, and with a RangeError that names the existing groups if there is no group of that name.
   */
  alterGroup(group: string, options: GroupChange): Promise<void>;

  /**
   * Deletes a group and its dead letters. Resolves with false if there is no group of that name. Without `force`, rejects
   * with `"group-busy"` while the group has live consumers, unsettled deliveries or dead letters; the message says which.
   */
  removeGroup(group: string, options?: { readonly force?: boolean }): Promise<boolean>;

  /**
   * Closes the stream to appends whose {@linkcode AppendOptions.layout} is lower than `layout`, from 1. Resolves with the
   * highest position that the stream ever gave, undefined if it is empty: no refused layout adds an entry behind it. Never
   * lowers an earlier fence, and may be called again. Appends without a layout, reading and consuming go on.
   */
  fence(layout: number): Promise<Position | undefined>;

  /**
   * A small text by which operators control the consumers of a group, for example to pause them. The store does not interpret
   * it. It stays when consumers come and go, and when the group is rewound or altered; it ends with the group. Members learn
   * of a change by {@linkcode Claim.control}: a write ends their claims that wait.
   *
   * `write` rejects with a RangeError if the text has more than 4 KiB in UTF-8. Both methods reject with a RangeError that
   * names the existing groups if there is no group of that name.
   */
  control(group: string): SharedState;

  /** The dead letters of a group. */
  deadLetters(group: string): DeadLetterBox;
}
