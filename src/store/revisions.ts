import type { AppendOptions, Fields } from "./event_store.ts";
import type { Position } from "./position.ts";

/** An entry to append that gets a revision of its subject. */
export interface RevisedRecord {
  /** Its fields. None of them is named `revision` or `previous`: a store adds fields of these names. */
  readonly fields: Fields;
  /** The subject whose revision it gets. */
  readonly subject: string;
  /**
   * A revision that the subject has elsewhere, such as in a stream that kept it before. Numbering goes on from the higher
   * one of this revision and that in the stream. @default {0}
   */
  readonly base?: number;
}

/** How to append entries that get revisions. */
export interface RevisedOptions extends AppendOptions {
  /** The revision that a subject must have, 0 for a subject without entries. @default {any} */
  readonly expected?: { readonly subject: string; readonly revision: number };
}

/** Where an entry was appended. */
export interface Revised {
  /** Its position in the stream. */
  readonly position: Position;
  /** The revision of its subject that it is. */
  readonly revision: number;
}

/** Which entries of a subject to read; both bounds are inclusive. */
export interface SubjectRange {
  /** The lowest revision. @default {1} */
  readonly fromRevision?: number;
  /** The highest revision. @default {the last one} */
  readonly toRevision?: number;
  /** The largest number of entries, counted over all pages. */
  readonly limit?: number;
  /** From the highest revision to the lowest. @default {false} */
  readonly reverse?: boolean;
  /** Ends the reading: it rejects with the reason of the signal. */
  readonly signal?: AbortSignal;
}
