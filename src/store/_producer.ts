import { StoreError } from "./errors.ts";
import type { Producer } from "./event_store.ts";

/** How many of a producer's answers a store remembers for each stream. */
export const REMEMBERED_BATCHES = 64;

/** How long a store remembers a producer after its last batch, in milliseconds. */
export const PRODUCER_MEMORY: number = 10 * 60_000;

/** What a store remembers of one producer on one stream. */
export interface ProducerState {
  /** The last batch that it has, or that was given up. */
  readonly last: number;
  /** Whether the batch in question is among the remembered answers. */
  answered(sequence: number): boolean;
}

/**
 * What to do with a batch: `"append"` it, `"answer"` it with what was remembered, or, when it asks without records,
 * `"give-up"`. Throws when it is out of sequence, or when nobody can tell any more.
 */
export function judge(
  state: ProducerState | undefined,
  { id, sequence, decided, known }: Producer,
  empty: boolean,
): "append" | "answer" | "give-up" {
  if (state === undefined && known) {
    throw new StoreError(
      "forgotten",
      `Cannot tell whether batch ${sequence} was appended: producer ${id} is forgotten`,
    );
  }
  if (state?.answered(sequence)) return "answer";
  if (empty) return "give-up";
  const last = Math.max(state?.last ?? 0, decided);
  if (sequence !== last + 1) {
    throw new StoreError(
      "out-of-sequence",
      `Cannot append batch ${sequence} of producer ${id}: the next one is ${last + 1}`,
    );
  }
  return "append";
}
