import type { Position } from "./position.ts";
import type { GroupMember, MemberOptions } from "./group_member.ts";
import type { StreamAdmin } from "./stream_admin.ts";

/**
 * The fields of an entry, names and values alternating, as the stream keeps them. A store carries them unread: it
 * neither adds, drops, reorders nor interprets any.
 */
export type Fields = readonly string[];

/** An entry of a stream. */
export interface StoredRecord {
  /** Where it stands. */
  readonly position: Position;
  /** What it holds. */
  readonly fields: Fields;
}

/**
 * Who appends, and which of its batches this is: what makes sending a batch twice harmless. A store takes the batch
 * after the last it has of this producer on this stream, answers a batch that it has with the positions it gave, and
 * refuses a gap and whatever was decided before it came (`StoreError` `"out-of-sequence"`). It remembers the answers
 * of the last 64 batches, for at least ten minutes after the last.
 */
export interface Producer {
  /** Unique among all producers that ever were. */
  readonly id: string;
  /** The number of this batch: 1, 2, 3, … on each stream. */
  readonly sequence: number;
  /** Everything up to this number is decided: answered, or given up and never to be appended again. */
  readonly decided: number;
  /**
   * True when this batch may have come before, to a store that has answered this producer on this stream: one that does
   * not know the producer has forgotten, and says so (`StoreError` `"forgotten"`) instead of appending.
   */
  readonly known: boolean;
}

/** How to append. */
export interface AppendOptions {
  /** Who appends, so that sending the batch twice does no harm. */
  readonly producer?: Producer;
  /** Ends the wait for the answer; the append itself may still happen. */
  readonly signal?: AbortSignal;
}

/** Which entries to read, `from` and `to` inclusive, `after` exclusive. */
export interface ReadRange {
  /** The first one. @default {the oldest} */
  readonly from?: Position;
  /** The one before the first. */
  readonly after?: Position;
  /** The last one. @default {the newest} */
  readonly to?: Position;
  /** The most entries, all pages together. */
  readonly limit?: number;
  /** From the newest to the oldest. Not with `follow`. */
  readonly reverse?: boolean;
  /** After the last entry, wait for more: ends at `limit`, else by `signal` alone, by rejecting with its reason. */
  readonly follow?: boolean;
  /** Ends the reading, by rejecting with its reason. */
  readonly signal?: AbortSignal;
}

/**
 * The port: what the one engine needs of a store. Plain data goes through it, never an event object; handlers,
 * concurrency, backoff policy, order by key and draining are the engine's, and no store need think of them. Times are
 * milliseconds since the epoch by the store's own clock, durations milliseconds.
 *
 * A store reports what the engine can act on as a {@linkcode StoreError}. A stream or group that does not exist is
 * empty, not an error, except where a member says otherwise.
 */
export interface EventStore extends AsyncDisposable {
  /** What the store found out when it was opened: it works, but not as well as its users may think. */
  readonly warnings?: readonly string[];

  /**
   * Appends the records as one batch, all or nothing, at the end of the stream, in their order; resolves with their
   * positions once the store has them as durably as it is set up to. The engine sends at most 500 records and about
   * 1 MiB at once, and several batches of one stream may be under way: they are appended in the order of the calls.
   *
   * Without records the call asks about the producer's batch and gives it up: it resolves with the positions of the
   * batch if the store has it, else with none, and from then on the store refuses that batch.
   */
  append(stream: string, records: readonly Fields[], options?: AppendOptions): Promise<readonly Position[]>;

  /**
   * Reads pages of the stream in order, lazily: the next page is fetched when it is pulled. Trimmed entries are left
   * out silently; entries appended meanwhile may be among the last ones, unless `to` excludes them. A page is never
   * empty. Reading touches no group.
   */
  read(stream: string, range?: ReadRange): AsyncIterable<readonly StoredRecord[]>;

  /**
   * Joins a group as one more consumer, making the group if there is none; `startFrom` counts only then. Rejects with
   * `"name-taken"`, naming both, while another live consumer has the name; one of that name whose lease ran out or
   * who left is succeeded, and what it held will be claimed by the living like any dead consumer's.
   */
  member(stream: string, group: string, options: MemberOptions): Promise<GroupMember>;

  /** The stream as its operators see it. Makes nothing. */
  admin(stream: string): StreamAdmin;

  /** Frees everything the store opened, and nothing that was lent to it. Twice is fine. Members have left before. */
  [Symbol.asyncDispose](): Promise<void>;
}
