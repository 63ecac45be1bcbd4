import type { AppendOptions, Fields } from "./event_store.ts";

/** When an entry is due: at a time, or some time from now, by the store's clock, in milliseconds. */
export type When = { readonly at: number } | { readonly delay: number };

/** An entry to append later. */
export interface ScheduledRecord {
  /** Unique among the waiting entries of the schedule, and not empty. A waiting entry of the same id is replaced. */
  readonly id: string;
  /** Its fields. None of them is named `scheduledfor`, `revision` or `previous`: a store adds fields of these names. */
  readonly fields: Fields;
  /** When it is due. A time in the past is now. */
  readonly when: When;
  /** The subject whose revision it gets, in a stream with revisions. */
  readonly subject?: string;
  /** As in {@linkcode RevisedRecord}. @default {0} */
  readonly base?: number;
}

/** An entry that waits. */
export interface WaitingRecord {
  /** Its id, by which it can be cancelled or moved. */
  readonly id: string;
  /** Its fields. */
  readonly fields: Fields;
  /** When it is due, in milliseconds since the epoch. */
  readonly due: number;
}

/** How to add entries: as {@linkcode AppendOptions}; the layout is that of the schedule. */
export type AddOptions = Omit<AppendOptions, "layout">;

/** The due times of added entries. */
export interface Added {
  /** By record, in milliseconds since the epoch. */
  readonly dues: readonly number[];
  /** The time of the answer by the store's clock, in milliseconds since the epoch. */
  readonly now: number;
}

/** A schedule at one moment. */
export interface ScheduleState {
  /** How many entries wait, those that are due included. */
  readonly waiting: number;
  /** When the first of them is due, in milliseconds since the epoch; undefined if none waits. */
  readonly due: number | undefined;
  /** The time of the answer by the store's clock, in milliseconds since the epoch. */
  readonly now: number;
}

/** What {@linkcode StreamSchedule.promote} has done. */
export interface Promoted extends ScheduleState {
  /** How many entries it has appended. */
  readonly appended: number;
  /** The size of these entries: their names and values, about in bytes. */
  readonly bytes: number;
}

/** Which waiting entries to list, by their due times in milliseconds since the epoch; both bounds are inclusive. */
export interface ScheduleRange {
  /** The earliest due time. @default {no bound} */
  readonly from?: number;
  /** The latest due time. @default {no bound} */
  readonly to?: number;
  /** The largest number of entries, counted over all pages. */
  readonly limit?: number;
  /** Ends the listing: it rejects with the reason of the signal. */
  readonly signal?: AbortSignal;
}

/** Entries that leave a schedule whose layout is over. */
export interface Leaving {
  /** The number of this batch: 1, 2, 3, … */
  readonly batch: number;
  /** Its entries, by due time; none once all have left. */
  readonly records: readonly WaitingRecord[];
}

/**
 * The entries that are to be appended to one stream later, as durable as the stream itself. They are ordered by due time, and
 * by the order of adding where that is the same.
 *
 * For a schedule with a layout, `add`, `promote`, `cancel` and `move` are refused with `"layout-changed"` after
 * {@linkcode StreamAdmin.fence} with a higher layout. Only then `take` and `taken` are called.
 */
export interface StreamSchedule {
  /**
   * Adds entries as one batch: all of them or none. Batches of `append` and of `add` are numbered together: a batch is added
   * once, answered again, refused and given up exactly as in {@linkcode EventStore.append}. Resolves with the due times;
   * without any if a call without records finds that the store does not have the batch.
   */
  add(records: readonly ScheduledRecord[], options?: AddOptions): Promise<Added>;

  /**
   * Appends entries that are due to the stream, in one step with removing them from the schedule, and wakes those who
   * wait for the stream. An entry of a record with a subject gets a revision, as in `appendRevised`. Each has the field
   * `scheduledfor` after its own fields: its due time in ISO 8601. Appends at most `limit` entries, and only one more once
   * these have 1 MiB. Several callers, and calls whose answers were lost, never append an entry twice.
   */
  promote(limit: number): Promise<Promoted>;

  /** How many entries wait, and when the first is due. Costs no more than a read of one key. */
  state(): Promise<ScheduleState>;

  /** Lists waiting entries in pages, in their order. A page is fetched when the caller asks for it, and is never empty. */
  list(range?: ScheduleRange): AsyncIterable<readonly WaitingRecord[]>;

  /** Removes an entry. Resolves with true if it was still waiting: it is not appended then. */
  cancel(id: string): Promise<boolean>;

  /** Changes when an entry is due. Resolves with its new due time; without any if it was not waiting any more. */
  move(id: string, when: When): Promise<Added>;

  /**
   * Hands out the next batch of waiting entries: always the same one until {@linkcode taken} is called with its number.
   * Its size is at most `limit` entries, and about 1 MiB.
   */
  take(limit: number): Promise<Leaving>;

  /** Removes the entries of a batch that was handed out. Does nothing if that was done before. */
  taken(batch: number): Promise<void>;
}
