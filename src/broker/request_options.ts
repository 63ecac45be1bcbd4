import type { EventClass } from "../events/mod.ts";

/** How to wait for a reply. */
export interface RequestOptions<R extends EventClass> {
  /** The class of the reply, one of the broker's. */
  reply: R;
  /** How long to wait, in milliseconds, publishing included. @default {30_000} */
  timeout?: number;
  /** Ends the wait: the promise rejects with the signal's reason. The event may be handled all the same. */
  signal?: AbortSignal;
}
