import type { SubscriptionEventMap } from "./lifecycle_events.ts";
import type { EventListenerOf } from "./types.ts";

/** A group's handler at work. */
export interface Subscription extends EventTarget, AsyncDisposable {
  /** The group it belongs to. */
  readonly group: string;
  /**
   * Resolves when the subscription has closed, rejects with what ended it. Marked as handled: a failure that nobody
   * awaits is an `error` event all the same.
   */
  readonly closed: Promise<void>;
  /**
   * Stops reading, lets running handlers finish up to `drainTimeout`, hands the rest back uncounted, and resolves when
   * the store knows. Calling it again gives the same promise.
   */
  close(): Promise<void>;
  /**
   * Resolves when the group has caught up with this subscription's types, also where other processes do the work: as
   * {@linkcode EventBroker.idle} for these types and this group.
   *
   * @param options.signal Ends the wait; the promise rejects with the signal's reason.
   */
  idle(options?: { signal?: AbortSignal }): Promise<void>;
  /** Listens to what befalls the subscription and its deliveries. */
  addEventListener<T extends keyof SubscriptionEventMap>(
    type: T,
    listener: EventListenerOf<SubscriptionEventMap[T]>,
    options?: boolean | AddEventListenerOptions,
  ): void;
  /** Stops listening. */
  removeEventListener<T extends keyof SubscriptionEventMap>(
    type: T,
    listener: EventListenerOf<SubscriptionEventMap[T]>,
    options?: boolean | EventListenerOptions,
  ): void;
}
