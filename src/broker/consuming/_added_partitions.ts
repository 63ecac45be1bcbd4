import { untilReached } from "../_store_retry.ts";
import type { StreamCodec } from "../codec/_stream_codec.ts";
import type { StreamLayout } from "../partitions/_stream_layout.ts";
import type { GroupSubscription } from "./_group_subscription.ts";
import type { StreamConsumer } from "./_stream_consumer.ts";

/** A subscription that reads all partitions of a stream. */
export interface FollowedPartitions {
  readonly layout: StreamLayout;
  readonly subscription: GroupSubscription;
  readonly codec: StreamCodec;
  /** The streams that it reads already. */
  readonly known: readonly string[];
  /** Notes that the group reads all partitions. */
  share(): Promise<void>;
  join(codec: StreamCodec): Promise<StreamConsumer>;
}

/** Has a subscription that reads all partitions of a stream also read those that are added. */
export function followPartitions({ layout, codec, subscription, known, share, join }: FollowedPartitions): void {
  const read = new Set(known);
  const { closing } = subscription;
  const add = async (part: StreamCodec) => {
    try {
      const shareAndJoin = () => share().then(() => join(part));
      const consumer = await untilReached(shareAndJoin, closing, (...why) => subscription.retrying(...why));
      if (consumer === undefined) return;
      if (closing.aborted) await consumer.leave(AbortSignal.timeout(subscription.lease));
      else subscription.attach(consumer);
    } catch (error) {
      if (!closing.aborted) subscription.failed(error);
    }
  };
  const changed = () => {
    for (const part of layout.codecsOf(codec)) {
      if (read.has(part.stream)) continue;
      read.add(part.stream);
      void add(part);
    }
  };
  layout.watch(changed, closing);
  // The layout may have changed since the known streams were.
  changed();
}
