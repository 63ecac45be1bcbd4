import type { EventStore } from "../../store/mod.ts";
import { unlessAborted, untilReached } from "../_store_retry.ts";
import type { StreamLayout } from "../partitions/_stream_layout.ts";
import type { StreamLayouts } from "../partitions/_stream_layouts.ts";
import { plainAppend, revisedAppend } from "./_append.ts";
import { PartitionRouter } from "./_partition_router.ts";
import { StreamPublisher } from "./_stream_publisher.ts";

/** The part of a publisher that its stream publishers use. */
export interface StreamPublishersOptions {
  readonly store: EventStore;
  /** Left out when no stream has a layout. */
  readonly layouts?: StreamLayouts;
  /** The store could not be reached; the next try comes after `delay` milliseconds. */
  retrying(error: unknown, delay: number): void;
  /** The store has appended `count` events of so many bytes to this stream. */
  appended(stream: string, count: number, bytes: number): void;
  /** The store has scheduled events of this stream; the first of them is due in `wait` milliseconds. */
  scheduled(stream: string, layout: number | undefined, wait: number): void;
}

/** The publishers of all streams of one broker, one for each partition, and the routers that choose the partitions. */
export class StreamPublishers {
  #options: StreamPublishersOptions;
  #layouts: StreamLayouts | undefined;
  #producer = crypto.randomUUID();
  #publishers = new Map<string, StreamPublisher>();
  /** By the stream that all partitions belong to. */
  #routers = new Map<string, PartitionRouter>();
  /** Publishers whose stream has a layout that this broker is learning. */
  #learning = new Set<StreamPublisher>();
  #closed = new AbortController();

  constructor(options: StreamPublishersOptions) {
    this.#options = options;
    this.#layouts = options.layouts;
  }

  /** Aborts when they have closed. */
  get closed(): AbortSignal {
    return this.#closed.signal;
  }

  /** The stream in the store for events of this subject: that of their partition. */
  streamOf(stream: string, subject: string | undefined): string {
    return this.#layouts === undefined ? stream : this.#router(stream)?.streamOf(subject!) ?? stream;
  }

  /** The publisher of one stream, which sends nothing before the store has told the layout of the stream. */
  get(stream: string): StreamPublisher {
    const publisher = this.of(stream);
    if (this.#layouts !== undefined) this.#learnLayout(stream, publisher);
    return publisher;
  }

  /** The publisher of one stream. */
  of(stream: string): StreamPublisher {
    let publisher = this.#publishers.get(stream);
    if (publisher === undefined) {
      const { store, retrying, appended, scheduled } = this.#options;
      const note = (layout: number | undefined, wait: number) => scheduled(stream, layout, wait);
      const router = this.#router(stream);
      const layout = this.#layouts?.of(stream);
      publisher = new StreamPublisher({
        stream,
        producer: this.#producer,
        append: layout?.revisions ? revisedAppend(store, stream, layout, note) : plainAppend(store, stream, note),
        ...(router && { layout: () => router.id, inFlight: () => router.inFlight, moved: () => router.follow() }),
        retrying,
        appended: (count, bytes) => appended(stream, count, bytes),
      });
      this.#publishers.set(stream, publisher);
      router?.add(publisher);
      if (this.closed.aborted) publisher.close();
    }
    return publisher;
  }

  /** The router of a stream, or of the stream that this partition belongs to; undefined if it never has partitions. */
  #router(stream: string): PartitionRouter | undefined {
    const layout = this.#layouts?.of(stream);
    if (layout === undefined) return undefined;
    let router = this.#routers.get(layout.stream);
    if (router === undefined) {
      const publisher = (stream: string) => this.of(stream);
      router = new PartitionRouter({ layout, closed: this.closed, publisher, retrying: this.#options.retrying });
      this.#routers.set(layout.stream, router);
    }
    return router;
  }

  /** Holds what is published until the layout is known; refuses it if the store has another number of partitions. */
  #learnLayout(stream: string, publisher: StreamPublisher): void {
    const layout = this.#layouts?.of(stream);
    if (layout === undefined || layout.id !== undefined || this.#learning.has(publisher)) return;
    this.#learning.add(publisher);
    const learned = this.#agree(layout).catch((error) => publisher.refuse(error));
    void publisher.holdUntil(learned.finally(() => this.#learning.delete(publisher)));
  }

  #agree(layout: StreamLayout): Promise<void> {
    const agree = () => unlessAborted(layout.agree(), this.closed);
    return untilReached(agree, this.closed, this.#options.retrying);
  }

  /** Rejects publishes that have timed out. Returns false if none waits. */
  expire(): boolean {
    const busy = [...this.#publishers.values()].filter((publisher) => publisher.busy);
    for (const publisher of busy) publisher.expire();
    return busy.length > 0;
  }

  /** Resolves when all batches are answered and no event is queued. */
  async drained(): Promise<void> {
    await Promise.all([...this.#publishers.values()].map((publisher) => publisher.drained()));
  }

  /** Rejects all publishes, and accepts no more. */
  close(): void {
    this.#closed.abort();
    for (const publisher of this.#publishers.values()) publisher.close();
  }
}
