import { Bell } from "../../store/_bell.ts";
import { type GroupMember, StoreError } from "../../store/mod.ts";

// How often a taken name is tried again, in milliseconds: a tenth of the lease that is left, within these bounds.
const MIN_INTERVAL = 50;
const MAX_INTERVAL = 1_000;
// Stores round the end of a lease to whole milliseconds.
const ROUNDING = 5;

/**
 * Joins a group. While another consumer has the name, waits for the end of that consumer's lease: it may be a dead
 * predecessor of this one. Rejects with the store's `"name-taken"` error once that consumer has renewed its lease.
 *
 * @param join Tries to join.
 * @param waiting Called once, before the first wait.
 * @param signal Ends the wait; the promise rejects with its reason.
 */
export async function joinAfterPredecessor(
  join: () => Promise<GroupMember>,
  waiting: (holder: string, expiresIn: number) => void,
  signal: AbortSignal,
): Promise<GroupMember> {
  let first: { readonly holder: string; readonly latestEnd: number } | undefined;
  for (;;) {
    const asked = performance.now();
    let expiresIn: number;
    try {
      return await join();
    } catch (error) {
      if (!(error instanceof StoreError) || error.holder === undefined || error.expiresIn === undefined) throw error;
      const { holder } = error;
      expiresIn = error.expiresIn;
      // The store's answer was given between `asked` and now: the end of the lease is known within these bounds.
      if (first === undefined) {
        first = { holder, latestEnd: performance.now() + expiresIn + ROUNDING };
        waiting(holder, expiresIn);
      } else if (holder !== first.holder || asked + expiresIn > first.latestEnd) throw error;
    }
    const interval = Math.min(Math.max(expiresIn / 10, MIN_INTERVAL), MAX_INTERVAL);
    await new Bell().wait(signal, Math.min(interval, expiresIn + 1));
    signal.throwIfAborted();
  }
}
