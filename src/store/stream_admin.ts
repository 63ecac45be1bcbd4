import type { StoredRecord } from "./event_store.ts";
import type { DeadReason, ErrorRecord } from "./group_member.ts";
import type { Position } from "./position.ts";

/** A consumer, as `info` shows it. */
export interface ConsumerState {
  /** Its name. */
  readonly name: string;
  /** How many deliveries it holds. */
  readonly pending: number;
  /** Whether its lease is running. */
  readonly alive: boolean;
  /** Whether it takes nothing new because what it holds fills it. */
  readonly stalled: boolean;
}

/** What a group holds of a version that none of its consumers knew. */
export interface DeferredState {
  /** The version of the entries. */
  readonly version: number;
  /** How many deliveries wait for a consumer that knows it. */
  readonly pending: number;
}

/** A group, as `info` shows it. */
export interface GroupState {
  /** Its name. */
  readonly name: string;
  /** Delivered or parked, and not settled: retries, deliveries handed back, held and redriven ones included. */
  readonly pending: number;
  /** Those of them whose time to be tried again has not come yet. */
  readonly retrying: number;
  /** Those of them that were deferred, by version, the lowest first. */
  readonly deferred: readonly DeferredState[];
  /** Events that it gave up. */
  readonly deadLetters: number;
  /** Entries the group has not read yet. */
  readonly lag: number;
  /** False when `lag` is a lower bound. */
  readonly lagIsExact: boolean;
  /** The first position that it has not read or not settled, trimmed or not; undefined when it is through. */
  readonly floor: Position | undefined;
  /** Its consumers. */
  readonly consumers: readonly ConsumerState[];
}

/** A stream, as `info` shows it. */
export interface StreamState {
  /** How many entries it holds. */
  readonly length: number;
  /** Where its oldest entry stands. */
  readonly first: Position | undefined;
  /** The last position ever given, also when that entry is gone. */
  readonly last: Position | undefined;
  /** Its groups. */
  readonly groups: readonly GroupState[];
}

/** What to keep; an entry goes when either bound says so. */
export interface TrimOptions {
  /** How old an entry may get, in milliseconds, by its position. */
  readonly maxAge?: number;
  /** How many entries to keep. */
  readonly maxLength?: number;
  /** Removes also what groups have not read or settled; their deliveries of it come back as missing. */
  readonly force?: boolean;
}

/** What trimming did. */
export interface TrimResult {
  /** How many entries were removed. */
  readonly removed: number;
  /** The group that kept entries from being removed, the one furthest behind. */
  readonly pinnedBy: string | undefined;
}

/** An event that a group gave up. */
export interface LetterRecord extends StoredRecord {
  /** Unique among the dead letters of its group, rising. */
  readonly id: string;
  /** Why. */
  readonly reason: DeadReason;
  /** How many attempts were counted. */
  readonly attempts: number;
  /** When the first attempt failed, in milliseconds since the epoch. */
  readonly firstFailedAt: number;
  /** When the last attempt failed, in milliseconds since the epoch. */
  readonly lastFailedAt: number;
  /** The consumer that gave it up, by its name in the store. */
  readonly consumer: string;
  /** What the last attempt failed with. */
  readonly error: ErrorRecord;
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
  /** Pages through the letters that are there at its first page, oldest first, lazily. A page is never empty. */
  list(options?: { readonly signal?: AbortSignal }): AsyncIterable<readonly LetterRecord[]>;

  /**
   * Hands the letters (all, or those named) back to their group alone, with attempts and recoveries at zero, also
   * when the entry is gone from the stream; each in one step with the letter's removal. A letter whose event the group
   * is working on or will still read is only removed: it comes anyway. Resolves with how many letters were removed.
   */
  redrive(ids?: readonly string[]): Promise<number>;

  /** Removes letters for good (all, the named ones, or those past the bounds); resolves with how many. */
  discard(which?: DiscardOptions): Promise<number>;
}

/** A stream as its operators see it. */
export interface StreamAdmin {
  /** The stream and its groups at one moment. */
  info(): Promise<StreamState>;

  /** Removes old entries; never, unless forced, one that some group has not read or not settled. */
  trim(options: TrimOptions): Promise<TrimResult>;

  /**
   * Moves a group in one step: `to` is the next position it reads (`"now"`: the next one appended). What is pending or
   * parked at or after `to` is dropped, so that late settles of it are refused; earlier deliveries go on. That holds for
   * what is gone from the stream, too, and from the beginning everything is dropped. Resolves with
   * how many were dropped and the first entry it will read, if it is there already. Rejects for a group that does not
   * exist with a RangeError that names those there are.
   */
  rewind(group: string, to: "beginning" | "now" | Position): Promise<{ dropped: number; first: Position | undefined }>;

  /**
   * Ends a group for good, with its dead letters. Resolves with false if there was none. Without `force` rejects with
   * `"group-busy"`, naming what is in the way, while it has live consumers, unsettled deliveries or dead letters.
   */
  removeGroup(group: string, options?: { readonly force?: boolean }): Promise<boolean>;

  /** The dead letters of a group. */
  deadLetters(group: string): DeadLetterBox;
}
