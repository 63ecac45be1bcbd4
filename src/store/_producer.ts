import { StoreError } from "./errors.ts";
import type { Producer } from "./event_store.ts";

/** For how many batches of a producer a store remembers the positions, for each stream. */
export const REMEMBERED_BATCHES = 64;

/** How long a store remembers a producer after its last batch, in milliseconds. */
export const PRODUCER_MEMORY: number = 10 * 60_000;

/** What a store remembers about one producer on one stream. */
export interface ProducerState {
  /** The number of the last batch that was appended or given up. */
  readonly last: number;
  /**
   * How many entries this batch has: 0 if it was refused for its layout; undefined if the store does not remember it. Any
   * other number if the answer is a conflict.
   */
  answered(sequence: number): number | undefined;
}

/**
 * Decides what to do with a batch: `"append"` it, `"answer"` as the first time, or `"refuse"` it again for its
 * layout. For a call without records whose batch is not stored: `"give-up"`. Throws `"out-of-sequence"` for a gap or a batch that was given up, and
 * `"forgotten"` if the store can no longer tell whether it has the batch.
 */
export function judge(
  state: ProducerState | undefined,
  { id, sequence, decided, known }: Producer,
  empty: boolean,
): "append" | "answer" | "refuse" | "give-up" {
  if (state === undefined && known) {
    throw new StoreError(
      "forgotten",
      `Cannot tell whether batch ${sequence} was appended: the store has forgotten producer ${id}; read the stream to see`,
    );
  }
  const length = state?.answered(sequence);
  if (length !== undefined && (length > 0 || !empty)) return length > 0 ? "answer" : "refuse";
  if (empty) return "give-up";
  const last = Math.max(state?.last ?? 0, decided);
  if (sequence !== last + 1) {
    throw new StoreError(
      "out-of-sequence",
      `Cannot append batch ${sequence} of producer ${id}: the store expects batch ${last + 1} next`,
    );
  }
  return "append";
}

/** The error for a batch whose stream was chosen by a layout that is no longer in force. */
export function layoutChanged(stream: string, layout: number | undefined, cause?: unknown): StoreError {
  return new StoreError(
    "layout-changed",
    `Cannot append to ${stream}: the stream was chosen by layout ${layout}, and a later layout is in force; read the ` +
      "layout again, and append to the stream that it names",
    cause === undefined ? undefined : { cause },
  );
}

/** Whether an error is a conflict: it decides the batch, which gets the same error again. */
export function isConflict(error: unknown): error is StoreError {
  return error instanceof StoreError && error.kind === "conflict";
}

/**
 * The error for a batch whose subject does not have the expected revision.
 *
 * @param expected Undefined in the answer to a call that only asks about the batch.
 */
export function conflict(
  stream: string,
  expected: { readonly subject: string; readonly revision: number } | undefined,
  found: number,
): StoreError {
  const why = expected === undefined
    ? `its subject had revision ${found}, and not the expected one`
    : `${JSON.stringify(expected.subject)} has revision ${found}, and not ${expected.revision}`;
  return new StoreError("conflict", `Cannot append to ${stream}: ${why}; read the subject again, and decide anew`, {
    revision: found,
  });
}
