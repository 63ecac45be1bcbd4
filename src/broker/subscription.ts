import type { SubscriptionEventMap } from "./lifecycle_events.ts";
import type { EventListenerOf } from "./types.ts";

/** What a subscription does for one event type at one moment. */
export interface SubscriptionTypeInfo {
  /** The event type. */
  readonly eventType: string;
  /** The consumer's name in the store: `<name>.<incarnation>`. */
  readonly consumer: string;
  /** Deliveries that this consumer holds: `waiting` and `running` ones, and those whose outcome is on the way. */
  readonly held: number;
  /** Deliveries whose handler has not started: they wait for a free handler, for their key, or for the next attempt. */
  readonly waiting: number;
  /** Handlers that run. With `consume`: deliveries that are not settled. */
  readonly running: number;
  /** Whether it reads nothing new because deliveries that wait for their keys fill `prefetch`. */
  readonly stalled: boolean;
  /** When the last renewal of its lease that succeeded was sent, or the consumer joined. */
  readonly leaseRenewedAt: Date;
  /** When the store last took outcomes of this consumer, or, if that is later, when it began to hold deliveries again. */
  readonly lastProgressAt: Date;
}

/** What a subscription does at one moment. */
export interface SubscriptionInfo {
  /** The group it belongs to. */
  readonly group: string;
  /** `"reading"`, `"closing"` once `close` was called or its signal aborted, `"closed"` at the end. */
  readonly state: "reading" | "closing" | "closed";
  /** Deliveries that this subscription holds, of all types. */
  readonly held: number;
  /** Those of them whose handler has not started. */
  readonly waiting: number;
  /** Handlers that run. */
  readonly running: number;
  /** The last failure to reach the store, or the error that ended the subscription; undefined when there was none. */
  readonly lastError: { readonly error: unknown; readonly at: Date } | undefined;
  /** The same by event type. */
  readonly types: readonly SubscriptionTypeInfo[];
}

/** A group's handler at work. */
export interface Subscription extends EventTarget, AsyncDisposable {
  /** The group it belongs to. */
  readonly group: string;
  /**
   * Resolves when the subscription has closed. Rejects with the error that ended it, or with the error of closing. Marked
   * as handled: it never becomes an unhandled rejection.
   *
   * Read inside one of this subscription's own handlers, it rejects with a TypeError once the subscription closes while
   * that handler still runs: closing waits for the handler, so the handler must not wait for the end of closing. Neither a
   * runtime without AsyncLocalStorage (a browser) nor a listener of the event `close` can tell: do not await them in a
   * handler.
   */
  readonly closed: Promise<void>;
  /**
   * Stops reading, waits up to `drainTimeout` for running handlers, releases all other deliveries uncounted, and leaves
   * the group. Resolves when the store has replied. Calling it again gives the same promise.
   *
   * Called inside one of this subscription's own handlers, it resolves at once: closing waits for that handler, so the
   * handler must not wait for closing. {@linkcode closed} resolves at the end. A runtime without AsyncLocalStorage (a
   * browser) cannot tell that the caller is a handler: do not await `close` in a handler there.
   *
   * @throws {Error} If the store did not reply or refused: deliveries that were not settled are redelivered once the
   * consumer's lease has expired. The subscription is closed all the same.
   */
  close(): Promise<void>;
  /** What this subscription does now, by what this process knows: the store is not asked. */
  info(): SubscriptionInfo;
  /**
   * Resolves when the group has caught up with this subscription's types, also where other processes do the work: as
   * {@linkcode EventBroker.idle} for these types and this group.
   *
   * @param options.signal Ends the wait; the promise rejects with the signal's reason.
   * @throws {TypeError} If it is called inside a handler of this group and one of these types.
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
