import { untilReached } from "../_store_retry.ts";
import type { StreamCodec } from "../codec/_stream_codec.ts";
import type { StreamLayout } from "../partitions/_stream_layout.ts";
import type { GroupSubscription } from "./_group_subscription.ts";
import type { StreamConsumer } from "./_stream_consumer.ts";

/** A subscription whose stream may get more partitions. */
interface Followed {
  readonly layout: StreamLayout;
  readonly subscription: GroupSubscription;
}

/** Has a subscription that reads all partitions of a stream also read those that are added. */
export function followPartitions(
  { layout, codec, subscription, join }: Followed & {
    readonly codec: StreamCodec;
    join(codec: StreamCodec): Promise<StreamConsumer>;
  },
): void {
  const read = new Set(layout.streams);
  const { closing } = subscription;
  const add = async (part: StreamCodec) => {
    try {
      const consumer = await untilReached(() => join(part), closing, (...why) => subscription.retrying(...why));
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
}

/** Warns once if a stream without partitions gets some: a subscription from before reads the events from before only. */
export function warnOfPartitions(
  { layout, subscription, warn }: Followed & { warn(message: string): void },
): void {
  let warned = false;
  layout.watch(() => {
    if (warned || layout.partitions === 0) return;
    warned = true;
    warn(
      `The stream ${layout.stream} has ${layout.partitions} partitions now. The subscription of group ` +
        `"${subscription.group}" goes on with the events from before. Those that are published now wait for brokers that ` +
        `are started with streams: { ${layout.name}: { partitions: ${layout.partitions} } }`,
    );
  }, subscription.closing);
}
