import type { Position, StoredRecord } from "../store/mod.ts";
import type { Consumer } from "./_consumers.ts";

/** A delivery that is not settled: held by a consumer, or parked until it is due. */
export interface Pending {
  readonly position: Position;
  readonly index: number;
  /** Set when the entry itself is gone and this is a copy, brought back from the dead letters. */
  readonly copy: StoredRecord | undefined;
  owner: Consumer | undefined;
  /** When it may be taken, while it is parked. */
  due: number | undefined;
  /** When it is to be tried again, parked or held; undefined when nothing has to be waited for. */
  retryAt: number | undefined;
  failures: number;
  recovered: number;
  /** Which delivery of the group's this is. */
  delivery: number;
  isolated: boolean;
  /** Of which version its entry is, and since when it waits for somebody who knows it; set while it does. */
  deferred: { readonly version: number; readonly since: number } | undefined;
  firstFailedAt: number | undefined;
  lastFailedAt: number | undefined;
}
