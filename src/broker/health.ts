import type { SubscriptionInfo, SubscriptionTypeInfo } from "./subscription.ts";

/**
 * Whether a broker can do its work, and what it knows of the store and of its subscriptions.
 *
 * @example A readiness endpoint
 * ```ts
 * import { defineEvent, InMemoryBroker } from "@tidings/broker";
 * import { assertEquals } from "@std/assert";
 *
 * class Greeted extends defineEvent("Greeted")<{ name: string }> {}
 *
 * await using broker = new InMemoryBroker({ events: [Greeted] });
 * const readiness = async (): Promise<Response> => {
 *   const { ready, problems } = await broker.health();
 *   return Response.json({ ready, problems }, { status: ready ? 200 : 503 });
 * };
 * assertEquals((await readiness()).status, 200);
 * ```
 */
export interface BrokerHealth {
  /** Whether there are no problems. */
  readonly ready: boolean;
  /** One sentence for each problem, the gravest first; empty when all is well. */
  readonly problems: readonly string[];
  /** The store, as this broker last saw it. */
  readonly store: StoreHealth;
  /** The open subscriptions, and those that an error has ended and that were not opened again. */
  readonly subscriptions: readonly SubscriptionHealth[];
}

/** The state of the store. */
export interface StoreHealth {
  /**
   * `"connected"`: it answers and takes events. `"refusing"`: it answers, but takes no events, as a Redis that has reached
   * `maxmemory`, cannot save to its disk (MISCONF) or is a replica. `"unreachable"`: it does not answer.
   */
  readonly state: "connected" | "refusing" | "unreachable";
  /** Since when it has been in this state, as far as this broker knows. */
  readonly since: Date;
  /** Why it is refusing or unreachable; undefined while it is connected, or when it gives no answer at all. */
  readonly error: unknown;
}

/** The state of one subscription. */
export interface SubscriptionHealth extends Omit<SubscriptionInfo, "types" | "state"> {
  /** As in {@linkcode SubscriptionInfo}; `"failed"` when an error has ended it. */
  readonly state: SubscriptionInfo["state"] | "failed";
  /** The same by event type. */
  readonly types: readonly SubscriptionTypeHealth[];
}

/** The state of one subscription for one event type. */
export interface SubscriptionTypeHealth extends SubscriptionTypeInfo {
  /** The group's progress when the store last told; `"missing"` when it has no such group, undefined before it told. */
  readonly group: GroupProgress | "missing" | undefined;
  /** Why the store could not tell it, as when the user of a Redis may not ask; undefined when it told. */
  readonly groupError: unknown;
}

/** How far behind a group is. */
export interface GroupProgress {
  /** How many events it has not read. */
  readonly lag: number;
  /** Whether `lag` is exact; otherwise there are at least so many. */
  readonly lagIsExact: boolean;
  /** Deliveries that are not settled. */
  readonly pending: number;
  /** Dead letters. */
  readonly deadLetters: number;
  /** The time of the oldest event that it has not settled; undefined when it has settled all. */
  readonly oldestUnsettled: Date | undefined;
  /** When the store told this. */
  readonly at: Date;
}

/** How to judge the health of a broker. */
export interface HealthOptions {
  /**
   * A subscription that holds deliveries has to settle one within this time, in milliseconds; otherwise it is a problem.
   * Give more than the slowest handler takes. @default {60_000}
   */
  stalledAfter?: number;
}
