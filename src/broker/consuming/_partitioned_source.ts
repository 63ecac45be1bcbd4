import type { EventStore, GroupMember } from "../../store/mod.ts";
import type { StreamCodec } from "../codec/_stream_codec.ts";
import { Barrier } from "../partitions/_barrier.ts";
import type { StreamLayout } from "../partitions/_stream_layout.ts";
import { followPartitions } from "./_added_partitions.ts";
import { AssignedStream, isShared, shareAll } from "./_assigned_stream.ts";
import { inheritControl } from "./flow/_change.ts";
import type { GroupSubscription } from "./_group_subscription.ts";
import { HeldBack, type HoldBack } from "./order/_held_back.ts";
import type { HeldKeys } from "./order/_held_keys.ts";
import { SharedWindows } from "./windows/_shared_window.ts";
import type { StreamConsumer } from "./_stream_consumer.ts";

/** A subscription to a stream that has partitions, or may get some. */
export interface PartitionedSourceOptions {
  readonly store: EventStore;
  readonly subscription: GroupSubscription;
  /** The stream with all its partitions. */
  readonly codec: StreamCodec;
  readonly layout: StreamLayout;
  /** Its streams in the store when the subscription began. */
  readonly known: readonly string[];
  /** Given if a dead letter holds its key. */
  readonly Holds: typeof HeldKeys | undefined;
  /** The name of the consumer. */
  readonly consumer: string;
  /** Joins the group on one stream in the store, beside other consumers. */
  join(codec: StreamCodec, source: PartitionedSource): Promise<StreamConsumer>;
}

/** The ways in which a subscription reads a stream that has partitions, or may get some. */
export class PartitionedSource {
  readonly known: readonly string[];
  readonly holdBack: HoldBack;
  readonly windows: SharedWindows;
  #options: PartitionedSourceOptions;

  constructor(options: PartitionedSourceOptions) {
    const { store, subscription, layout, known } = options;
    const { group, closing: signal } = subscription;
    const retrying = (error: unknown, delay: number) => subscription.retrying(error, delay);
    const barrier = new Barrier({ store, layout, group, signal, retrying });
    this.#options = options;
    this.known = known;
    this.windows = new SharedWindows(subscription.settings);
    this.holdBack = (options) => new HeldBack({ ...options, barrier });
  }

  /** The codecs of its streams in the store. */
  get codecs(): StreamCodec[] {
    const { layout, codec } = this.#options;
    return layout.codecsOf(codec);
  }

  /** Whether the consumers of the group read all partitions. */
  async isShared(): Promise<boolean> {
    const { store, codec, subscription } = this.#options;
    return await isShared(store, codec, subscription.group);
  }

  /** Notes that the consumers of the group read all partitions. */
  async share(): Promise<void> {
    const { store, codec, subscription } = this.#options;
    await shareAll(store, codec, subscription.group);
  }

  /** A consumer has joined the group on one stream in the store, which may be new to the group. */
  async joined(stream: string, member: GroupMember): Promise<void> {
    const { store, layout, subscription: { group } } = this.#options;
    await inheritControl({ store, layout, group }, stream, member);
  }

  /** Also reads partitions that are added, and those that the stream gets if it has none. */
  followAll(): void {
    const { join } = this.#options;
    followPartitions({ ...this.#options, share: () => this.share(), join: (codec) => join(codec, this) });
  }

  /** Takes part in the assignment of the partitions. */
  assigned(): AssignedStream {
    const { holdBack, windows } = this;
    return new AssignedStream({ ...this.#options, holdBack, windows });
  }
}
