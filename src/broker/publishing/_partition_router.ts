import { backoff, RECONNECT, sleep } from "../_store_retry.ts";
import type { Layout } from "../partitions/_layout.ts";
import type { StreamLayout } from "../partitions/_stream_layout.ts";
import { assertOneStream } from "./_expected_revision.ts";
import { splitPublish } from "./_split_publish.ts";
import { MAX_IN_FLIGHT, type QueuedPublish, type StreamPublisher } from "./_stream_publisher.ts";

// How often the layout is read while another process changes it, in milliseconds.
const INTERVAL = 20;

/** The part of a publisher that a router uses. */
export interface PartitionRouterOptions {
  readonly layout: StreamLayout;
  /** Aborts when the publisher has closed. */
  readonly closed: AbortSignal;
  /** The publisher of one stream in the store. */
  publisher(stream: string): StreamPublisher;
  /** The store could not be reached; the next try comes after `delay` milliseconds. */
  retrying(error: unknown, delay: number): void;
}

/**
 * Chooses the partition of each event of one stream.
 *
 * When the number of partitions has changed, publishes that wait or were refused move to their new partitions. They keep
 * their order: all batches of the old partitions are answered before anything goes to the new ones.
 */
export class PartitionRouter {
  #options: PartitionRouterOptions;
  /** The layout by which events are routed. */
  #applied: Layout;
  #publishers: StreamPublisher[] = [];
  /** Settles when the change of the layout, which is under way, has been made. */
  #change: Promise<void> | undefined;

  constructor(options: PartitionRouterOptions) {
    this.#options = options;
    this.#applied = options.layout.newest;
    options.layout.onChange(() => this.follow());
  }

  /** The number of the layout by which events are routed. */
  get id(): number {
    return this.#applied.id;
  }

  /**
   * How many batches of one partition may be in flight. If each had as many as a stream without partitions, events would
   * hardly gather, and batches would be small, which cost the store more.
   */
  get inFlight(): number {
    return Math.max(1, Math.floor(MAX_IN_FLIGHT / Math.max(1, this.#applied.partitions)));
  }

  /** The stream in the store for events of this subject. */
  streamOf(subject: string): string {
    return this.#options.layout.streamOf(subject, this.#applied);
  }

  /** Takes part in changes of the layout from now on. */
  add(publisher: StreamPublisher): void {
    this.#publishers.push(publisher);
    if (this.#change !== undefined) void publisher.holdUntil(this.#change);
  }

  /** The layout has changed in the store, or is about to. */
  follow(): void {
    this.#change ??= this.#follow().finally(() => {
      this.#change = undefined;
      const { layout, closed } = this.#options;
      if (layout.newest.id > this.#applied.id && !closed.aborted) this.follow();
    });
  }

  async #follow(): Promise<void> {
    let change!: () => void;
    const changed = new Promise<void>((resolve) => change = resolve);
    for (const publisher of this.#publishers) void publisher.holdUntil(changed);
    try {
      await this.#newerLayout();
      const old = [...this.#publishers];
      await Promise.all(old.map((publisher) => publisher.answered()));
      // No await from here on: a publish that comes now must not overtake those that wait.
      const waiting = old.flatMap((publisher) => publisher.takeAll());
      this.#applied = this.#options.layout.newest;
      for (const publish of waiting) this.#push(publish);
    } finally {
      change();
    }
  }

  async #newerLayout(): Promise<void> {
    const { layout, closed, retrying } = this.#options;
    for (let failures = 0; layout.newest.id <= this.#applied.id && !closed.aborted;) {
      try {
        await layout.refresh();
        failures = 0;
      } catch (error) {
        // Whatever the reason: the publishes that wait reject when their time is over.
        retrying(error, backoff(RECONNECT, ++failures));
      }
      if (layout.newest.id <= this.#applied.id) {
        await sleep(failures === 0 ? INTERVAL : backoff(RECONNECT, failures), closed);
      }
    }
  }

  #push(publish: QueuedPublish): void {
    try {
      this.#route(publish);
    } catch (error) {
      // An event without a subject has no partition.
      publish.refused(error);
    }
  }

  #route(publish: QueuedPublish): void {
    const byStream = Map.groupBy(publish.events.keys(), (nth) => this.streamOf(publish.events[nth]!.subject!));
    const [first] = byStream.keys();
    if (byStream.size === 1) return this.#options.publisher(first!).push(publish);
    // Its events were in one partition, and are not any more.
    if (publish.expected !== undefined) {
      assertOneStream(publish.events, publish.expected, (event) => this.streamOf(event.subject!));
    }
    const parts = splitPublish(publish, [...byStream.values()]);
    [...byStream.keys()].forEach((stream, nth) => this.#options.publisher(stream).push(parts[nth]!));
  }
}
