import { checkKeys, checkNumber, reasonOf } from "../../events/_check.ts";
import { isInstance } from "../../events/_foreign.ts";
import type { GroupState } from "../../store/mod.ts";
import { positionTime, StoreError } from "../../store/mod.ts";
import type {
  BrokerHealth,
  GroupProgress,
  HealthOptions,
  StoreHealth,
  SubscriptionHealth,
  SubscriptionTypeHealth,
} from "./health.ts";
import type { WholeAdmin } from "../partitions/_whole_admin.ts";
import type { SubscriptionInfo } from "../subscription.ts";
import { settledWithin } from "../_store_retry.ts";

// A caller of health() waits this long for the store's answer, in milliseconds, and then gets the last known state.
const PATIENCE = 20;
// A store that has not answered for this long is unreachable, in milliseconds.
const UNANSWERED = 1_000;
// The store is not asked again before this many milliseconds, however often health() is called.
const FRESH = 200;
const DEFAULT_STALLED_AFTER = 60_000;

/** A subscription as its health is judged. */
export interface WatchedSubscription {
  info(): SubscriptionInfo;
  /** How long its consumers' leases last, in milliseconds. */
  readonly lease: number;
  /** True once an error has ended it. */
  readonly endedByError: boolean;
}

/** The part of a broker whose health is watched. */
export interface HealthSubject {
  /** The operations on a stream and all its partitions. */
  admin(stream: string): Promise<WholeAdmin>;
  /** All streams of the broker as the store names them, by their names. */
  readonly streams: ReadonlyMap<string, string>;
  /** Whether the broker has begun to close. */
  closed(): boolean;
  /** Why scheduled events cannot be stored, by stream. */
  unscheduled(): ReadonlyMap<string, unknown>;
  /** Subscriptions that are open, or that an error has ended. */
  subscriptions(): readonly WatchedSubscription[];
}

type KnownGroup = Pick<SubscriptionTypeHealth, "group" | "groupError">;

const UNKNOWN: KnownGroup = { group: undefined, groupError: undefined };

/** Watches the store, and judges whether a broker can do its work. */
export class HealthMonitor {
  #subject: HealthSubject;
  #store: StoreHealth = { state: "connected", since: new Date(), error: undefined };
  /** By the name of the stream and the group: `<stream> <group>`. */
  #groups = new Map<string, KnownGroup>();
  /** The question to the store that is under way. */
  #asking: { readonly since: number; readonly answered: Promise<void> } | undefined;
  #askedAt = -Infinity;

  constructor(subject: HealthSubject) {
    this.#subject = subject;
  }

  /** The store could not be reached for other work. */
  noted(error: unknown): void {
    // A store that refuses also fails other work, but it does answer.
    if (this.#store.state !== "refusing") this.#see("unreachable", error);
  }

  async report(options: HealthOptions): Promise<BrokerHealth> {
    checkKeys("tell the health", options, ["stalledAfter"]);
    const { stalledAfter = DEFAULT_STALLED_AFTER } = options;
    checkNumber("stalledAfter (ms)", stalledAfter, { min: 0 });
    const closed = this.#subject.closed();
    if (!closed) await this.#ask();
    const subscriptions = this.#subject.subscriptions().map((subscription) => this.#healthOf(subscription));
    const problems = [
      ...(closed ? ["The broker is closed"] : []),
      ...storeProblems(this.#store),
      ...scheduleProblems(this.#subject.unscheduled()),
      ...this.#subject.subscriptions().flatMap(({ lease }, nth) =>
        subscriptionProblems(subscriptions[nth]!, lease, stalledAfter)
      ),
    ];
    return { ready: problems.length === 0, problems, store: this.#store, subscriptions };
  }

  /** Asks the store, and waits a moment for its answer. */
  async #ask(): Promise<void> {
    const now = performance.now();
    if (this.#asking === undefined && now - this.#askedAt >= FRESH) {
      this.#askedAt = now;
      const answered = this.#question().finally(() => this.#asking = undefined);
      this.#asking = { since: now, answered };
    }
    if (this.#asking === undefined) return;
    const { since, answered } = this.#asking;
    await settledWithin(answered, PATIENCE);
    // The answer may have come, and another caller may have asked again.
    if (this.#asking?.since === since && performance.now() - since >= UNANSWERED) this.#see("unreachable", undefined);
  }

  /** Never rejects: what it learns is in `#store` and `#groups`. */
  async #question(): Promise<void> {
    const { streams } = this.#subject;
    const admin = (stream: string) => this.#subject.admin(stream);
    const groupsOf = new Map<string, string[]>();
    for (const subscription of this.#subject.subscriptions()) {
      const { group, types } = subscription.info();
      for (const { eventType } of types) groupsOf.set(eventType, [...groupsOf.get(eventType) ?? [], group]);
    }
    const asked = [...groupsOf].map(async ([type, names]) => {
      const states = await admin(streams.get(type)!).then((stream) => stream.info())
        .then(({ groups }) => groups, (error) => ({ error }));
      for (const name of names) this.#groups.set(`${type} ${name}`, knownGroup(states, name));
    });
    try {
      const refusals = await Promise.all(
        [...streams.values()].map(async (stream) => {
          try {
            return await (await admin(stream)).writeRefusal();
          } catch (error) {
            // The store answers, but this broker may not publish to the stream.
            if (isInstance(error, StoreError) && error.kind === "partitions-differ") return error;
            throw error;
          }
        }),
      );
      const refusal = refusals.find((reason) => reason !== undefined);
      this.#see(refusal === undefined ? "connected" : "refusing", refusal);
    } catch (error) {
      this.#see("unreachable", error);
    }
    await Promise.all(asked);
  }

  #see(state: StoreHealth["state"], error: unknown): void {
    const since = state === this.#store.state ? this.#store.since : new Date();
    this.#store = { state, since, error: error ?? (state === this.#store.state ? this.#store.error : undefined) };
  }

  #healthOf(subscription: WatchedSubscription): SubscriptionHealth {
    const info = subscription.info();
    const types = info.types.map((type) => ({
      ...type,
      ...this.#groups.get(`${type.eventType} ${info.group}`) ?? UNKNOWN,
    }));
    return { ...info, state: subscription.endedByError ? "failed" : info.state, types };
  }
}

function knownGroup(states: readonly GroupState[] | { readonly error: unknown }, group: string): KnownGroup {
  if ("error" in states) return { group: undefined, groupError: states.error };
  const state = states.find(({ name }) => name === group);
  if (state === undefined) return { group: "missing", groupError: undefined };
  const { lag, lagIsExact, pending, deadLetters, floor, held: { keys, waiting } } = state;
  const oldestUnsettled = floor === undefined ? undefined : new Date(positionTime(floor));
  const held = { keys, waiting };
  const progress: GroupProgress = { lag, lagIsExact, pending, deadLetters, held, oldestUnsettled, at: new Date() };
  return { group: progress, groupError: undefined };
}

function storeProblems({ state, since, error }: StoreHealth): string[] {
  if (state === "connected") return [];
  const reason = error === undefined ? "it does not answer" : reasonOf(error);
  const what = state === "refusing" ? "takes no events" : "cannot be reached";
  return [`The store ${what} since ${since.toISOString()}: ${reason}`];
}

function scheduleProblems(errors: ReadonlyMap<string, unknown>): string[] {
  return [...errors].map(([stream, error]) => `Scheduled events of ${stream} cannot be stored: ${reasonOf(error)}`);
}

function subscriptionProblems(
  { group, state, lastError, types }: SubscriptionHealth,
  lease: number,
  stalledAfter: number,
): string[] {
  const name = `The subscription of group "${group}"`;
  if (state === "failed") return [`${name} has ended: ${reasonOf(lastError?.error)}`];
  if (state !== "reading") return [];
  const now = Date.now();
  return types.flatMap(({ eventType, stalled, running, leaseRenewedAt, lastProgressAt, group: progress }) => {
    const problems: string[] = [];
    if (progress === "missing") problems.push(`The store has no group "${group}" for ${eventType}`);
    if (now - leaseRenewedAt.getTime() > lease) {
      problems.push(`${name} has not renewed its lease for ${eventType} since ${leaseRenewedAt.toISOString()}`);
    }
    if (stalled) problems.push(`${name} reads no ${eventType}: deliveries that wait for their keys fill its prefetch`);
    else if (running > 0 && now - lastProgressAt.getTime() > stalledAfter) {
      const busy = running === 1 ? "1 handler runs" : `${running} handlers run`;
      problems.push(`${name} has settled no ${eventType} since ${lastProgressAt.toISOString()}: ${busy}`);
    }
    return problems;
  });
}
