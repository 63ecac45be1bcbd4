import { sleep, untilReached } from "../_store_retry.ts";
import type { StoreError } from "../../store/mod.ts";
import type { StreamLayout } from "../partitions/_stream_layout.ts";
import type { AssignedStream } from "./_assigned_stream.ts";
import type { PartitionedSource } from "./_partitioned_source.ts";
import type { AssignedPartitions, GroupSubscription } from "./_group_subscription.ts";
import type { JobSource } from "./jobs/_job.ts";
import type { StreamConsumer } from "./_stream_consumer.ts";

// How often to look for the partitions of a stream that consumers of partitions have taken already, in milliseconds.
const INTERVAL = 250;

/** A subscription that reads a stream without partitions, until the stream gets some. */
export interface FirstPartitionsOptions {
  readonly layout: StreamLayout;
  readonly subscription: GroupSubscription;
  /** Makes the ways to read the partitions. */
  sourceOf(): Promise<PartitionedSource>;
}

/**
 * Waits until a stream without partitions gets some. Then the consumer of the stream drains and leaves, and the subscription
 * takes part in the assignment, by which one consumer settles the rest of the stream.
 */
export class FirstPartitions implements AssignedPartitions {
  #options: FirstPartitionsOptions;
  #joining: Promise<void> | undefined;
  #assigned: AssignedStream | undefined;
  #failures: unknown[] = [];

  constructor(options: FirstPartitionsOptions) {
    this.#options = options;
  }

  start(): void {
    const { layout, subscription } = this.#options;
    const changed = () => {
      if (layout.partitions > 0) this.#begin(false);
    };
    layout.watch(changed, subscription.closing);
    changed();
  }

  lost(source: JobSource, { kind }: StoreError): boolean {
    if (this.#assigned?.lost(source)) return true;
    // Only a consumer of another broker that has seen the partitions joins exclusively.
    if (source.stream !== this.#options.layout.stream || kind !== "occupied") return false;
    this.#begin(true);
    return true;
  }

  async close(): Promise<unknown[]> {
    await this.#joining;
    return [...this.#failures, ...await this.#assigned?.close() ?? []];
  }

  #begin(lost: boolean): void {
    const { subscription } = this.#options;
    if (this.#joining !== undefined || subscription.closing.aborted) return;
    this.#joining = this.#join(lost).catch((error) => {
      if (!subscription.closing.aborted) subscription.failed(error);
    });
  }

  /** @param lost Whether the group has given the consumer up for dead. */
  async #join(lost: boolean): Promise<void> {
    const { layout, subscription, sourceOf } = this.#options;
    const { closing } = subscription;
    const retrying = (error: unknown, delay: number) => subscription.retrying(error, delay);
    if (lost) await Promise.all(this.#consumers().map((consumer) => subscription.abandon(consumer)));
    while (layout.partitions === 0 && !closing.aborted) {
      await untilReached(() => layout.refresh(), closing, retrying);
      if (layout.partitions === 0) await sleep(INTERVAL, closing);
    }
    const source = await sourceOf();
    // Consumers that share all partitions go on beside each other.
    if (!lost && await untilReached(() => source.isShared(), closing, retrying)) return source.followAll();
    if (!lost && !closing.aborted) await this.#leave();
    if (closing.aborted) return;
    const assigned = this.#assigned = source.assigned();
    await untilReached(() => assigned.join(closing), closing, retrying);
    if (!closing.aborted) assigned.start();
  }

  /** The consumer of the stream, which ends when the partitions are read. */
  #consumers(): StreamConsumer[] {
    const { layout, subscription } = this.#options;
    return subscription.consumersOf(layout.stream);
  }

  async #leave(): Promise<void> {
    const { subscription } = this.#options;
    try {
      await Promise.all(this.#consumers().map((consumer) => subscription.detach(consumer)));
    } catch (error) {
      // The end of its lease ends its membership. The partitions' events wait until then.
      if (subscription.closing.aborted) this.#failures.push(error);
      else subscription.retrying(error, 0);
    }
  }
}
