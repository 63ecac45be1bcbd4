import type { SubscriptionEventMap } from "./lifecycle_events.ts";
import type { EventListenerOf } from "./types.ts";

/** The state of a subscription for one event type, or for one partition of a stream, at one moment. */
export interface SubscriptionTypeInfo {
  /** The event type, or the name of the stream that several types share. */
  readonly eventType: string;
  /** The event types that the subscription handles there. */
  readonly eventTypes: readonly string[];
  /** The partition of the stream, from 0; undefined for a stream without partitions. */
  readonly partition?: number;
  /** The consumer's name in the store: `<name>.<incarnation>`. */
  readonly consumer: string;
  /** How many deliveries this consumer holds: `waiting` and `running` ones, and those whose outcome is being stored. */
  readonly held: number;
  /** How many deliveries wait for a free handler, for an earlier event of their key, or for their next attempt. */
  readonly waiting: number;
  /** How many handlers run. With `consume`: how many deliveries are not settled. */
  readonly running: number;
  /** Whether it has stopped reading because deliveries that wait for their keys fill `prefetch` or `prefetchBytes`. */
  readonly stalled: boolean;
  /** Why no handler starts at the moment; undefined when it is not paused. */
  readonly paused: PauseState | undefined;
  /** When the last successful renewal of its lease was sent; at first, when the consumer joined the group. */
  readonly leaseRenewedAt: Date;
  /** When the store last accepted outcomes, or when the consumer began to hold deliveries again: the later of the two. */
  readonly lastProgressAt: Date;
}

/** Why a subscription starts no handlers. */
export interface PauseState {
  /** Whether the group is paused, in all processes, or this subscription alone. */
  readonly scope: "group" | "consumer";
  /** Since when. */
  readonly since: Date;
  /** When the pause ends by itself; undefined if it lasts until `resume`. */
  readonly until: Date | undefined;
  /** The reason that was given. */
  readonly reason: string | undefined;
}

/** The state of a subscription at one moment. */
export interface SubscriptionInfo {
  /** The group it belongs to. */
  readonly group: string;
  /** `"reading"`; `"closing"` after `close` was called or the signal aborted; `"closed"` at the end. */
  readonly state: "reading" | "closing" | "closed";
  /** How many deliveries of all types this subscription holds. */
  readonly held: number;
  /** How many of them wait, as in {@linkcode SubscriptionTypeInfo}. */
  readonly waiting: number;
  /** How many handlers run. */
  readonly running: number;
  /** The last failure to reach the store, or the error that ended the subscription; undefined when there was none. */
  readonly lastError: { readonly error: unknown; readonly at: Date } | undefined;
  /** The state by event type, and by partition: the partitions that this subscription has at the moment. */
  readonly types: readonly SubscriptionTypeInfo[];
}

/** A handler that was subscribed to a group. */
export interface Subscription extends EventTarget, AsyncDisposable {
  /** The group it belongs to. */
  readonly group: string;
  /**
   * Resolves when the subscription has closed. Rejects with the error that ended it, or with the error of closing. Marked
   * as handled: it never becomes an unhandled rejection.
   *
   * Read inside one of this subscription's own handlers, it rejects with a TypeError once the subscription closes while
   * that handler still runs: closing waits for the handler, so the handler must not wait for the end of closing. A runtime
   * without AsyncLocalStorage (a browser) cannot detect that, and no runtime can for the event `close`: do not wait for
   * them in a handler.
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
  /**
   * Pauses this subscription alone, until `resume`: handlers that run are finished, and no other starts. Events that it has
   * read return to the group, uncounted, so that other consumers handle them. {@linkcode EventBroker.pause} pauses the whole
   * group.
   */
  pause(): void;
  /** Ends the pause of this subscription. A pause of its group goes on. */
  resume(): void;
  /** The state of this subscription, by what this process knows: the store is not asked. */
  info(): SubscriptionInfo;
  /**
   * Resolves when the group has caught up with this subscription's types, also if other processes handle the events: as
   * {@linkcode EventBroker.idle} for this group and these types.
   *
   * @param options.signal Ends the wait; the promise rejects with the signal's reason.
   * @throws {TypeError} If it is called inside a handler of this group and one of these types.
   */
  idle(options?: { signal?: AbortSignal }): Promise<void>;
  /** Listens to lifecycle events of the subscription and of its deliveries. */
  addEventListener<T extends keyof SubscriptionEventMap>(
    type: T,
    listener: EventListenerOf<SubscriptionEventMap[T]>,
    options?: boolean | AddEventListenerOptions,
  ): void;
  /** Removes a listener. */
  removeEventListener<T extends keyof SubscriptionEventMap>(
    type: T,
    listener: EventListenerOf<SubscriptionEventMap[T]>,
    options?: boolean | EventListenerOptions,
  ): void;
}
