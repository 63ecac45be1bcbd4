import type { Claim, Position, StoredRecord } from "../../store/mod.ts";

/** Where a member gets its deliveries: it looks for those that returned to the group, reads new entries, and waits for both. */
export interface Source {
  /** Positions of entries that were read and are not claimed yet. */
  readonly kept: readonly Position[];
  /** The last position taken. The group goes on after it if the store loses both the group and its checkpoint. */
  readonly last: Position | undefined;
  /**
   * Claims deliveries; undefined if there are none. Then a wait is under way that ends the recovery's wait, unless `newFirst`
   * is set: then it has only looked for new entries.
   */
  next(limit: number, newFirst: boolean): Promise<Claim | undefined>;
  /** Claims all entries that were read for claims that have ended. */
  rest(): Promise<readonly Claim[]>;
  /** Keeps records that came after their wait had ended. */
  spill(records: readonly StoredRecord[]): void;
  /** Drops all entries that are kept: the group that they were read from is gone. */
  clear(): void;
  /** The group may have forgotten the connection: the next wait announces it again. */
  announceAgain(): void;
  /** Ends the wait, so that nothing is read that nobody asked for. */
  pause(): void;
  /** Ends the wait for good, and resolves once no read is in flight that could take entries. */
  close(): Promise<void>;
}

/** A claim that has only these records to tell. */
export function claimOf(records: Claim["records"]): Claim {
  return { records, missing: [], disturbed: false };
}
