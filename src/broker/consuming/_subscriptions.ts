import { WakeUp } from "../../store/_wake_up.ts";
import { type EventStore, type GroupMember, StoreError } from "../../store/mod.ts";
import type { HandledDelivery } from "../_causation.ts";
import type { Observers } from "../observing/_observers.ts";
import { eitherSignal, settledWithin, unlessAborted } from "../_store_retry.ts";
import type { EventCodec } from "../codec/_event_codec.ts";
import { byStream, type StreamCodec } from "../codec/_stream_codec.ts";
import type { StreamLayouts } from "../partitions/_stream_layouts.ts";
import { ConsumerWaitingEvent, WarningEvent } from "../lifecycle_events.ts";
import type { IdleOptions } from "../options.ts";
import type { AssignedStream } from "./_assigned_stream.ts";
import { type Settings, startIn } from "./jobs/_consumer_settings.ts";
import type { FirstPartitions } from "./_first_partitions.ts";
import { GroupSubscription } from "./_group_subscription.ts";
import type { Deliver } from "./jobs/_job_runner.ts";
import type { PartitionedSource } from "./_partitioned_source.ts";
import { StreamConsumer } from "./_stream_consumer.ts";
import { load } from "../../store/_load.ts";

// How long closing waits for consumers that are about to join while the store does not reply, in milliseconds.
const JOIN_TIMEOUT = 5_000;
// How often a taken name is tried again, in milliseconds: a tenth of the lease that is left, within these bounds.
const MIN_INTERVAL = 50;
const MAX_INTERVAL = 1_000;
// Stores round the end of a lease to whole milliseconds, so it may seem to end this much later.
const ROUNDING = 5;

/** The part of a broker that its subscriptions use. */
export interface SubscriptionsOwner {
  readonly store: EventStore;
  readonly layouts: StreamLayouts;
  readonly observers: Observers;
  /** Aborts when the broker begins to close. */
  readonly closing: AbortSignal;
  /** Throws when the broker is closing or closed. */
  assertOpen(): void;
  /** Takes an error that has no listener on the subscription. */
  report(error: unknown): void;
  /** `count` events of this stream were settled. */
  consumed(stream: string, count: number, bytes: number): void;
  /** The store could not be reached. */
  unreachable(error: unknown): void;
  /** Dispatches an event on the broker. */
  dispatch(event: Event): void;
  /** Pauses a group for so many milliseconds. */
  pauseGroup(stream: string, group: string, reason: string, duration: number): Promise<void>;
  /** Resolves when a group has caught up with these streams. */
  idle(streams: readonly string[], options: IdleOptions): Promise<void>;
}

/** The subscriptions of one broker: at most one for each group of each stream. */
export class Subscriptions {
  #owner: SubscriptionsOwner;
  #all = new Set<GroupSubscription>();
  /** Subscriptions that are about to join their group. */
  #opening = new Set<Promise<GroupSubscription>>();
  /** Subscriptions that an error has ended, by their names in `#taken`, until such a name is taken again. */
  #failed = new Map<string, GroupSubscription>();
  /** Generated consumer names, by group. */
  #consumerNames = new Map<string, string>();
  /** `<stream> <group>` of every subscription; neither part contains a space. */
  #taken = new Set<string>();

  constructor(owner: SubscriptionsOwner) {
    this.#owner = owner;
  }

  /** Joins the group on each stream, and begins to deliver. */
  open(classes: readonly EventCodec[], deliver: Deliver, settings: Settings): Promise<GroupSubscription> {
    const opening = this.#open(classes, deliver, settings);
    const opened = () => void this.#opening.delete(opening);
    this.#opening.add(opening);
    opening.then(opened, opened);
    return opening;
  }

  async #open(classes: readonly EventCodec[], deliver: Deliver, settings: Settings): Promise<GroupSubscription> {
    const {
      store,
      layouts,
      observers,
      closing,
      assertOpen,
      report,
      consumed,
      unreachable,
      dispatch,
      pauseGroup,
      idle,
    } = this.#owner;
    const assertWanted = () => {
      assertOpen();
      settings.signal?.throwIfAborted();
    };
    assertWanted();
    const codecs = byStream(classes);
    const { names, release } = this.#reserve(classes, codecs, settings.group);
    const ended = (subscription: GroupSubscription) => {
      this.#all.delete(subscription);
      if (subscription.endedByError) { for (const name of names) this.#failed.set(name, subscription); }
      release();
    };
    const warn = (message: string) => dispatch(new WarningEvent(message));
    const limiter = (stream: string, group: string) => store.limiter(stream, group);
    // Loaded on demand, since few subscriptions use it.
    const Breaker = settings.pauseAfter && (await load(() => import("./flow/_breaker.ts"))).Breaker;
    const subscription = new GroupSubscription(
      { observers, report, consumed, unreachable, dispatch, pauseGroup, limiter, warn, ended, idle },
      codecs.map(({ stream }) => stream),
      settings,
      deliver,
      Breaker,
    );
    const consumer = settings.consumer ?? this.#consumerName(settings.group);
    const sources: StreamConsumer[] = [];
    const assigned: AssignedStream[] = [];
    const growing: FirstPartitions[] = [];
    const shared: PartitionedSource[] = [];
    const told = (name: string) => (holder: string, expiresIn: number) =>
      dispatch(new ConsumerWaitingEvent(settings.group, consumer, name, holder, expiresIn));
    const signal = eitherSignal(settings.signal, closing);
    // Loaded on demand, since few groups hold keys.
    const Holds = settings.whenDead === "hold-key"
      ? (await load(() => import("./order/_held_keys.ts"))).HeldKeys
      : undefined;
    const join = async (codec: StreamCodec, source?: PartitionedSource) => {
      const { stream, version, groupTypes: types } = codec;
      const joinedAt = Date.now();
      const startFrom = source === undefined ? settings.startFrom : startIn(stream, settings, source.known);
      const options = { ...settings, startFrom, consumer, version, ...(types && { types }) };
      const member = await unlessEnded(store.member(stream, settings.group, options), signal);
      await source?.joined(stream, member);
      const { holdBack, windows } = source ?? {};
      const breaker = subscription.breakerOf(codec.logical);
      return new StreamConsumer(subscription, codec, member, joinedAt, { holdBack, windows, breaker, Holds });
    };
    try {
      for (const { stream } of codecs) await subscription.limit(stream);
      const parts: { readonly codec: StreamCodec; readonly source?: PartitionedSource }[] = [];
      for (const codec of codecs) {
        const layout = layouts.of(codec.stream);
        assertWanted();
        if (layout === undefined) {
          parts.push({ codec });
          continue;
        }
        await unlessAborted(layout.agreeNow(), signal);
        const { partitions, streams: known } = layout;
        // Loaded on demand, since few streams have partitions.
        const sourceOf = async () => {
          const { PartitionedSource } = await load(() => import("./_partitioned_source.ts"));
          return new PartitionedSource({ store, subscription, codec, layout, known, Holds, consumer, join });
        };
        if (settings.assignment === "shared") {
          const source = await sourceOf();
          if (partitions > 0) await unlessAborted(source.share(), signal);
          shared.push(source);
          parts.push(...source.codecs.map((codec) => ({ codec, source })));
        } else if (partitions > 0) assigned.push((await sourceOf()).assigned());
        else {
          const { FirstPartitions } = await load(() => import("./_first_partitions.ts"));
          growing.push(new FirstPartitions({ layout, subscription, sourceOf }));
          parts.push({ codec });
        }
      }
      if (
        settings.assignment !== undefined && assigned.length === 0 &&
        parts.every(({ codec }) => codec.partition === undefined)
      ) {
        throw new TypeError(
          `Cannot subscribe group "${settings.group}" with an assignment: ${
            names.length === 1 ? "the stream has" : "the streams have"
          } no ` +
            "partitions; leave assignment out, or give the stream partitions by the broker's option streams",
        );
      }
      for (const { codec, source } of parts) {
        assertWanted();
        sources.push(await joinAfterPredecessor(() => join(codec, source), told(codec.name), signal));
      }
      for (const stream of assigned) {
        assertWanted();
        await joinAfterPredecessor(() => stream.join(signal), told(stream.name), signal);
      }
      assertWanted();
    } catch (error) {
      await Promise.allSettled([
        ...sources.map((source) => source.leave(AbortSignal.timeout(JOIN_TIMEOUT))),
        ...assigned.map((stream) => stream.close()),
      ]);
      release();
      // While the broker closes, joining may fail for many reasons: the caller needs to know this one.
      assertOpen();
      throw error;
    }
    this.#all.add(subscription);
    for (const name of names) this.#failed.delete(name);
    subscription.start(sources, [...assigned, ...growing]);
    for (const source of shared) source.followAll();
    return subscription;
  }

  // Subscriptions of one group share a consumer name, so that a store can read for all of them at once. After the last of
  // them has closed, the next one gets a new name: the old name may belong to a consumer that could not leave.
  #consumerName(group: string): string {
    const name = this.#consumerNames.get(group) ?? `consumer-${crypto.randomUUID().slice(0, 8)}`;
    this.#consumerNames.set(group, name);
    return name;
  }

  #reserve(
    classes: readonly EventCodec[],
    codecs: readonly StreamCodec[],
    group: string,
  ): { names: readonly string[]; release: () => void } {
    const twice = classes.find((codec, nth) => classes.indexOf(codec) !== nth);
    const names = codecs.map(({ stream }) => `${stream} ${group}`);
    const taken = codecs.find((_, nth) => this.#taken.has(names[nth]!));
    if (twice !== undefined || taken !== undefined) {
      const what = twice?.definition.type ?? taken!.types.join(", ");
      throw new TypeError(
        `Cannot subscribe group "${group}" to ${what} a second time on one broker: ` +
          `raise concurrency on the first subscription instead`,
      );
    }
    for (const name of names) this.#taken.add(name);
    const release = () => {
      for (const name of names) this.#taken.delete(name);
      if (![...this.#taken].some((name) => name.endsWith(` ${group}`))) this.#consumerNames.delete(group);
    };
    return { names, release };
  }

  /** Has the consumers of a group read its control now, which has changed. */
  async checkControl(group: string, stream: string): Promise<void> {
    const own = [...this.#all].filter((subscription) => subscription.group === group);
    await Promise.all(own.map((subscription) => subscription.checkControl(stream)));
  }

  /** Renews the leases of a group's consumers now, so that they learn which deliveries of a stream they lost. */
  renew(group: string, stream: string): void {
    for (const subscription of this.#all) if (subscription.group === group) subscription.renew(stream);
  }

  /** The open subscriptions, and those that an error has ended and that were not opened again. */
  watched(): GroupSubscription[] {
    return [...new Set([...this.#all, ...this.#failed.values()])];
  }

  /** The groups for which a subscription reads a stream, or its partitions. */
  groupsOf(stream: string): string[] {
    return [...this.#all].filter((subscription) => subscription.reads(stream)).map(({ group }) => group);
  }

  /** The delivery whose handler contains the caller, if it is a delivery of one of the subscriptions. */
  enclosing(): HandledDelivery | undefined {
    for (const subscription of this.#all) {
      const delivery = subscription.enclosing();
      if (delivery !== undefined) return delivery;
    }
    return undefined;
  }

  /** Closes all subscriptions; resolves with the errors of those that could not be closed cleanly. */
  async close(): Promise<unknown[]> {
    // A consumer that is about to join must leave before the store is disposed. Otherwise it would look alive for a lease.
    const joined = settledWithin(Promise.allSettled([...this.#opening]), JOIN_TIMEOUT);
    const closed = await Promise.allSettled([...this.#all].map((subscription) => subscription.end()));
    await joined;
    return closed.filter((result) => result.status === "rejected").map(({ reason }) => reason);
  }
}

/** The member that joins, unless the signal aborts first. Then the member leaves before the promise rejects. */
async function unlessEnded(joining: Promise<GroupMember>, signal: AbortSignal): Promise<GroupMember> {
  try {
    return await unlessAborted(joining, signal);
  } catch (error) {
    if (signal.aborted) await settledWithin(joining.then((member) => member.leave()), JOIN_TIMEOUT);
    throw error;
  }
}

/**
 * Joins a group. While another consumer has the name, waits for the end of that consumer's lease: it may be a dead
 * predecessor of this one. Rejects with the store's `"name-taken"` error once that consumer has renewed its lease.
 *
 * @param join Tries to join.
 * @param waiting Called once, before the first wait.
 * @param signal Ends the wait; the promise rejects with its reason.
 */
async function joinAfterPredecessor<T>(
  join: () => Promise<T>,
  waiting: (holder: string, expiresIn: number) => void,
  signal: AbortSignal,
): Promise<T> {
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
    await new WakeUp().wait(signal, Math.min(interval, expiresIn + 1));
    signal.throwIfAborted();
  }
}
