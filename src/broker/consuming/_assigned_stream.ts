import { isInstance } from "../../events/_foreign.ts";
import { type EventStore, type GroupMember, StoreError } from "../../store/mod.ts";
import { unlessAborted } from "../_store_retry.ts";
import type { StreamCodec } from "../codec/_stream_codec.ts";
import { inheritControl } from "./flow/_change.ts";
import type { Partitions } from "./assignment/_plan.ts";
import { AssignedConsumer } from "./assignment/_assigned.ts";
import { assertAssignment, SharedRoster } from "./assignment/_roster.ts";
import { assignmentState } from "../partitions/_layout.ts";
import type { StreamLayout } from "../partitions/_stream_layout.ts";
import { bySubject, type Settings, startIn } from "./jobs/_consumer_settings.ts";
import type { HeldKeys } from "./order/_held_keys.ts";
import type { AssignedPartitions, GroupSubscription } from "./_group_subscription.ts";
import type { JobSource } from "./jobs/_job.ts";
import type { HoldBack } from "./order/_held_back.ts";
import type { SharedWindows } from "./windows/_shared_window.ts";
import { StreamConsumer } from "./_stream_consumer.ts";

/** How a subscription takes part in the assignment of a stream. */
export interface AssignedStreamOptions {
  readonly store: EventStore;
  readonly subscription: GroupSubscription;
  /** The stream with all its partitions. */
  readonly codec: StreamCodec;
  readonly layout: StreamLayout;
  /** The streams of its partitions when the subscription began. */
  readonly known: readonly string[];
  readonly holdBack: HoldBack;
  readonly windows: SharedWindows;
  /** Given if a dead letter holds its key. */
  readonly Holds: typeof HeldKeys | undefined;
  /** The name of the consumer. */
  readonly consumer: string;
}

/** The partitions of one stream that a subscription has at the moment: one consumer for each of them. */
export class AssignedStream implements AssignedPartitions {
  readonly name: string;
  #options: AssignedStreamOptions;
  #settings: Settings;
  /** The partitions. Those of a new layout are added at the end, and none is ever removed. */
  #partitions: readonly StreamCodec[];
  #assigned: AssignedConsumer;
  /** Consumers that have a partition, by its number. */
  #consumers = new Map<number, StreamConsumer>();
  /** All consumers that have not ended, those that drain included. */
  #all = new Set<JobSource>();
  #started = false;
  #closing = false;
  #failures: unknown[] = [];

  /** Takes part only after {@linkcode join}. */
  constructor(options: AssignedStreamOptions) {
    const { store, subscription, codec, layout, consumer } = options;
    const { stream, name } = codec;
    const { group, lease, key = bySubject } = subscription.settings;
    this.name = name;
    this.#options = options;
    this.#settings = { ...subscription.settings, key };
    const roster = rosterOf(store, stream, group);
    this.#partitions = layout.codecsOf(codec);
    const partitions = this.#spread();
    this.#assigned = new AssignedConsumer({ roster, group, stream, consumer, partitions, lease }, {
      join: (partition) => this.#join(partition),
      leave: (partition) => this.#leave(partition),
      rebalanced: (assigned, gained, lost) =>
        subscription.rebalanced(name, this.#numbersOf(assigned), this.#numbersOf(gained), this.#numbersOf(lost)),
      retrying: (error, delay) => subscription.retrying(error, delay),
      failed: (error) => this.#failed(error),
    });
  }

  /**
   * Takes part in the assignment, and joins those partitions that the plan gives to this consumer and that are free.
   *
   * @throws {StoreError} `"name-taken"` while another live consumer has the name; `"types-differ"` or `"policy-differs"` if
   * the group has other terms.
   */
  async join(signal: AbortSignal): Promise<void> {
    await unlessAborted(this.#assigned.join((isFounded) => this.#prepare(isFounded)), signal);
    const [failure] = this.#failures;
    if (failure !== undefined) throw failure;
  }

  start(): void {
    this.#started = true;
    for (const error of this.#failures) this.#options.subscription.failed(error);
    this.#assigned.start();
    const { codec, layout, subscription } = this.#options;
    const changed = () => {
      this.#partitions = layout.codecsOf(codec);
      this.#assigned.relayout(this.#spread());
    };
    layout.watch(changed, subscription.closing);
    // The layout may have changed since the partitions were counted.
    changed();
  }

  /** The partitions as the plan sees them. */
  #spread(): Partitions {
    const { newest } = this.#options.layout;
    return {
      layout: newest.id,
      live: this.#partitions.map(({ partition }) =>
        partition === undefined ? newest.partitions === 0 : partition < newest.partitions
      ),
    };
  }

  lost(source: JobSource): boolean {
    if (!this.#all.has(source)) return false;
    for (const [partition, consumer] of this.#consumers) {
      if (consumer !== source) continue;
      this.#consumers.delete(partition);
      void this.#options.subscription.abandon(consumer).then(() => this.#all.delete(consumer));
      this.#assigned.lost(partition);
    }
    return true;
  }

  async close(): Promise<unknown[]> {
    this.#closing = true;
    await this.#assigned.close();
    return this.#failures;
  }

  /**
   * Makes the group in all partitions, so that it begins at the same place in each of them. If it is there already, one
   * partition tells whether its terms are those of this consumer: otherwise it must not take partitions from the others.
   */
  async #prepare(isFounded: boolean): Promise<void> {
    await Promise.all(
      this.#partitions.slice(0, isFounded ? 1 : undefined).map(async (codec) => {
        try {
          await (await this.#member(codec, false)).leave();
        } catch (error) {
          if (!isInstance(error, StoreError) || error.kind !== "occupied" && error.kind !== "name-taken") throw error;
        }
      }),
    );
  }

  async #join(partition: number): Promise<void> {
    const { subscription, holdBack, windows, Holds } = this.#options;
    const codec = this.#partitions[partition]!;
    const joinedAt = Date.now();
    const member = await this.#member(codec, true);
    const consumer = new StreamConsumer(subscription, codec, member, joinedAt, {
      holdBack,
      windows,
      Holds,
      breaker: subscription.breakerOf(codec.logical),
      settings: this.#settings,
    });
    this.#consumers.set(partition, consumer);
    this.#all.add(consumer);
    subscription.attach(consumer);
  }

  async #member({ stream, version, groupTypes: types }: StreamCodec, exclusive: boolean): Promise<GroupMember> {
    const { consumer, store, known, layout } = this.#options;
    const { group } = this.#settings;
    const startFrom = startIn(stream, this.#settings, known);
    const options = { ...this.#settings, startFrom, consumer, version, exclusive, ...(types && { types }) };
    const member = await store.member(stream, group, options);
    await inheritControl({ store, layout, group }, stream, member);
    return member;
  }

  async #leave(partition: number): Promise<void> {
    const consumer = this.#consumers.get(partition);
    if (consumer === undefined) return;
    this.#consumers.delete(partition);
    try {
      await this.#options.subscription.detach(consumer);
    } catch (error) {
      // The lease ends it, and another consumer can take over then.
      if (this.#closing) this.#failures.push(error);
      else this.#options.subscription.retrying(error, 0);
    } finally {
      this.#all.delete(consumer);
    }
  }

  /** The numbers of partitions. The stream itself, which an earlier layout may have, has none. */
  #numbersOf(nths: readonly number[]): number[] {
    return nths.flatMap((nth) => this.#partitions[nth]!.partition ?? []);
  }

  #failed(error: unknown): void {
    this.#failures.push(error);
    // Before that, `join` rejects with it.
    if (this.#started) this.#options.subscription.failed(error);
  }
}

/** Notes that the consumers of the group read all partitions, unless the group has another assignment. */
export async function shareAll(store: EventStore, { stream }: StreamCodec, group: string): Promise<void> {
  await rosterOf(store, stream, group).update((roster) => {
    if (roster !== undefined) assertAssignment(roster, "shared", group, stream);
    return roster ?? { assignment: "shared", founded: true, seats: [], plan: undefined };
  });
}

/** Whether the consumers of the group read all partitions. */
export async function isShared(store: EventStore, { stream }: StreamCodec, group: string): Promise<boolean> {
  const { roster } = await rosterOf(store, stream, group).read();
  return roster?.assignment === "shared";
}

function rosterOf(store: EventStore, stream: string, group: string): SharedRoster {
  return new SharedRoster(store.state(stream, assignmentState(group)), `group "${group}" of ${stream}`);
}
