import type { SubscriptionInfo, SubscriptionTypeInfo } from "../subscription.ts";

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
  /** One sentence for each problem, the most serious first; empty if there are none. */
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
  /** Why it is refusing or unreachable; undefined while it is connected, or if it does not answer at all. */
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
  /**
   * The group's progress by the last answer of the store; `"missing"` if the store has no such group; undefined before the
   * first answer.
   */
  readonly group: GroupProgress | "missing" | undefined;
  /** The error of asking the store, such as a missing permission of a Redis user; undefined if the store answered. */
  readonly groupError: unknown;
}

/** How far behind a group is. */
export interface GroupProgress {
  /** How many events it has not read. */
  readonly lag: number;
  /** Whether `lag` is exact; otherwise there are at least so many. */
  readonly lagIsExact: boolean;
  /** How many deliveries are not settled. */
  readonly pending: number;
  /** How many dead letters it has. */
  readonly deadLetters: number;
  /**
   * How many keys these letters hold, and how many events wait behind them, with `whenDead: "hold-key"`. As dead letters,
   * they are no problem of the broker: an operator decides about them.
   */
  readonly held: { readonly keys: number; readonly waiting: number };
  /** The time of the oldest event that it has not settled; undefined when it has settled all. */
  readonly oldestUnsettled: Date | undefined;
  /** When the store gave this answer. */
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
