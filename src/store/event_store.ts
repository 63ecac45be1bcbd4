import type { Position } from "./position.ts";
import type { Limiter } from "./limiter.ts";
import type { GroupMember, MemberOptions } from "./group_member.ts";
import type { SharedState } from "./shared_state.ts";
import type { Revised, RevisedOptions, RevisedRecord, SubjectRange } from "./revisions.ts";
import type { StreamSchedule } from "./schedule.ts";
import type { StreamAdmin } from "./stream_admin.ts";

/**
 * The fields of an entry: names and values in turn. A store does not interpret them, and returns exactly the fields that
 * were appended, in their order; for an entry with a revision, followed by the fields that the store has added.
 */
export type Fields = readonly string[];

/** An entry of a stream. */
export interface StoredRecord {
  /** Its position in the stream. */
  readonly position: Position;
  /** Its fields. */
  readonly fields: Fields;
}

/**
 * Identifies a batch, so that sending it twice appends it once.
 *
 * For each producer and stream, a store appends the batch whose number follows the last one that it has. It answers a
 * batch that it already has with the positions of the first time. It refuses a gap, and a batch that was given up before
 * it came, with `StoreError` `"out-of-sequence"`. It remembers the positions of the last 64 batches, for at least ten
 * minutes after the last one.
 */
export interface Producer {
  /** Unique among all producers of all times. */
  readonly id: string;
  /** The number of this batch: 1, 2, 3, … on each stream. */
  readonly sequence: number;
  /** All batches up to this number are answered or given up; none of them may be appended any more. */
  readonly decided: number;
  /**
   * True when the store has answered this producer on this stream before, and this batch may have been sent already. A
   * store that does not know the producer has then forgotten it: it rejects with `StoreError` `"forgotten"` and does not
   * append.
   */
  readonly known: boolean;
}

/** How to append. */
export interface AppendOptions {
  /** Identifies the batch, so that sending it twice appends it once. */
  readonly producer?: Producer;
  /**
   * The layout by which the caller chose this stream, from 0. After {@linkcode StreamAdmin.fence} with a higher one, the
   * append is refused with `StoreError` `"layout-changed"`: nothing is stored, and the batch counts as decided, so the
   * producer's next number follows it. The same batch sent again is refused again, unless it was stored before the fence.
   * An append without `layout` is never refused for it.
   */
  readonly layout?: number;
  /** Ends the wait for the answer; the append itself may still happen. */
  readonly signal?: AbortSignal;
}

/** Which entries to read, `from` and `to` inclusive, `after` exclusive. */
export interface ReadRange {
  /** The first one. @default {the oldest} */
  readonly from?: Position;
  /** Starts right after this position. */
  readonly after?: Position;
  /** The last one. @default {the newest} */
  readonly to?: Position;
  /** The largest number of entries, counted over all pages. */
  readonly limit?: number;
  /** From the newest to the oldest. Not with `follow`. */
  readonly reverse?: boolean;
  /** Waits for more after the last entry. Reading ends at `limit`, or rejects with the reason of `signal`. */
  readonly follow?: boolean;
  /** Ends the reading: it rejects with the reason of the signal. */
  readonly signal?: AbortSignal;
}

/**
 * The port that a store implements for the broker.
 *
 * Only plain data passes through it, never event objects. The broker's engine runs handlers, limits concurrency, chooses
 * delays, keeps the order by key and drains on close; a store does none of that. Times are milliseconds since the epoch
 * by the store's own clock, and durations are milliseconds.
 *
 * A store rejects with a {@linkcode StoreError} where the engine can act on the failure. A stream or group that does not
 * exist counts as empty and is no error, except where a method says otherwise.
 */
export interface EventStore extends AsyncDisposable {
  /** Problems that the store found when it was opened. It works, but with weaker guarantees than its users may expect. */
  readonly warnings?: readonly string[];

  /**
   * Appends the records as one batch at the end of the stream, in their order: all of them or none. Resolves with their
   * positions once the store holds them as durably as it is configured to. A batch of the engine has at most 500 records
   * and about 1 MiB. Several batches of one stream may be in flight; they are appended in the order of the calls.
   *
   * A call without records asks about the producer's batch and gives it up. It resolves with the positions of the batch if
   * the store has it, and else with an empty array; from then on the store refuses that batch.
   */
  append(stream: string, records: readonly Fields[], options?: AppendOptions): Promise<readonly Position[]>;

  /**
   * Appends as `append` does, and numbers the entries of each subject in this stream: 1, 2, 3, … without a gap. Resolves
   * with positions and revisions. An entry keeps its revision as the field `revision`, after its own fields; the store may
   * add the field `previous`, which only this store interprets. A subject keeps its last revision when its entries are
   * trimmed. Entries of `append` have no revision.
   *
   * Rejects with `"conflict"`, which has the revision found, and appends nothing unless the subject of `expected` has that
   * revision before the batch. The batch is then decided: the next batch of the producer may come, and the same batch gets
   * the same answer again. The same holds for a call without records.
   *
   * A producer uses either `append` or `appendRevised` for one stream. The store need not remember its decided batches.
   */
  appendRevised(
    stream: string,
    records: readonly RevisedRecord[],
    options?: RevisedOptions,
  ): Promise<readonly Revised[]>;

  /** The last revision of a subject in the stream, 0 without one. */
  revision(stream: string, subject: string): Promise<number>;

  /**
   * Reads the entries of a subject that have revisions, in their order, in pages; as `read` does. It finds them by an index:
   * the cost does not depend on how many entries of other subjects the stream has.
   */
  readSubject(stream: string, subject: string, range?: SubjectRange): AsyncIterable<readonly StoredRecord[]>;

  /**
   * Reads the stream in order, in pages. A page is fetched when the caller asks for it, and is never empty. Trimmed
   * entries are left out without notice. Entries that are appended while the caller reads may be included, unless `to`
   * excludes them. Reading changes no group.
   */
  read(stream: string, range?: ReadRange): AsyncIterable<readonly StoredRecord[]>;

  /**
   * Adds a consumer to a group. Makes the group if it does not exist; only then `startFrom` counts. Rejects with
   * `"name-taken"`, naming both consumers, while another live consumer has the name. A consumer of that name whose lease
   * ran out, or that left, is no obstacle: live consumers claim its deliveries like those of any dead consumer. Rejects
   * with `"occupied"` while an exclusive consumer is alive, and for an exclusive one while any other is alive.
   */
  member(stream: string, group: string, options: MemberOptions): Promise<GroupMember>;

  /** Operations on a stream: information, trimming, groups and dead letters. The call itself creates nothing. */
  admin(stream: string): StreamAdmin;

  /**
   * A small text beside a stream that processes share. The call itself creates nothing. Names are independent of each
   * other, and so are streams; the stream need not exist.
   */
  state(stream: string, name: string): SharedState;

  /** Limits starts over all processes. The call itself creates nothing. Names are independent of each other. */
  limiter(stream: string, name: string): Limiter;

  /**
   * The entries that are to be appended to a stream later. The call itself creates nothing.
   *
   * @param layout The layout by which the caller chose this stream. Each layout has a schedule of its own; that of layout 0
   * is also the one without a layout, which is never refused for it.
   */
  schedule(stream: string, layout?: number): StreamSchedule;

  /**
   * Closes everything that the store opened, but no client or connection that was passed to it. May be called twice. The
   * engine lets all members leave before.
   */
  [Symbol.asyncDispose](): Promise<void>;
}
