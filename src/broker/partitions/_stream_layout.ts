import { subjectIn } from "../../events/_subject.ts";
import type { DomainEvent } from "../../events/mod.ts";
import type { EventStore, StreamAdmin } from "../../store/mod.ts";
import type { EventCodec } from "../codec/_event_codec.ts";
import type { StreamCodec } from "../codec/_stream_codec.ts";
import { partitionOf } from "../partition_of.ts";

/** How many partitions a stream has, as the store keeps it. */
export interface Layout {
  /** The number of the layout, from 1; 0 for a stream that never had partitions. */
  readonly id: number;
  /** How many partitions there are; 0 for a stream without partitions. */
  readonly partitions: number;
}

/** A stream whose layout must be known. */
export interface StreamLayoutOptions {
  readonly store: EventStore;
  /** The codecs of the classes that share the stream. */
  readonly codecs: readonly EventCodec[];
  /** How many partitions the broker's options give; 0 for none. */
  readonly partitions: number;
  /** Tells the users of the broker about a problem. */
  warn(message: string): void;
}

/**
 * The partitions of one stream. The number is that of the broker's options. Before anything is published or consumed, it is
 * compared with the number in the store; the first broker writes it there.
 */
export class StreamLayout {
  /** The name of the stream, without the prefix. */
  readonly name: string;
  /** The stream that all partitions belong to: `<prefix>:<name>`. */
  readonly stream: string;
  /** How many partitions it has; 0 for none. */
  readonly partitions: number;
  /** Its streams in the store, by partition; the stream itself when there are no partitions. */
  readonly streams: readonly string[];
  #options: StreamLayoutOptions;
  #known: Layout | undefined;
  #learning: Promise<Layout> | undefined;
  /** Partitions whose misplaced events were reported. */
  #reported = new Set<number>();

  constructor(options: StreamLayoutOptions) {
    const [first] = options.codecs;
    this.#options = options;
    this.name = first!.definition.stream;
    this.stream = first!.stream;
    this.partitions = options.partitions;
    this.streams = options.partitions === 0
      ? [this.stream]
      : Array.from({ length: options.partitions }, (_, number) => `${this.stream}#${number}`);
  }

  /** The number of the layout in the store; undefined before {@linkcode agree} has resolved. */
  get id(): number | undefined {
    return this.#known?.id;
  }

  /** The stream in the store for events of this subject. */
  streamOf(subject: string): string {
    return this.partitions === 0 ? this.stream : this.streams[partitionOf(subject, this.partitions)]!;
  }

  /** The codecs of the streams in the store that hold these events: one for each partition. */
  codecsOf<E extends DomainEvent>(codec: StreamCodec<E>): StreamCodec<E>[] {
    if (this.partitions === 0) return [codec];
    return this.streams.map((stream, number) =>
      codec.of({ number, stream, decoded: (event) => this.#checkPlace(event, number) })
    );
  }

  /**
   * Resolves once the store has this number of partitions. Asks the store until it has answered once.
   *
   * @throws {StoreError} `"partitions-differ"` if the store has another number, or if the stream was used without one.
   */
  async agree(): Promise<void> {
    if (this.#known !== undefined) return;
    this.#learning ??= this.#learn(true).finally(() => this.#learning = undefined);
    this.#known = await this.#learning;
  }

  /** The same for callers that only read: it writes no layout where there is none. */
  async check(): Promise<void> {
    if (this.#known !== undefined) return;
    const layout = await this.#learn(false);
    if (layout.id > 0 || this.partitions === 0) this.#known = layout;
  }

  // Loaded on first use: most brokers have no partitions.
  async #learn(write: boolean): Promise<Layout> {
    const { agreedLayout } = await import("./_agreement.ts");
    return await agreedLayout(this.#options.store, this, write);
  }

  /** The operations on all partitions together. */
  async admin(): Promise<StreamAdmin> {
    await this.check();
    const { store } = this.#options;
    if (this.partitions === 0) return store.admin(this.stream);
    const { PartitionedAdmin } = await import("./_partitioned_admin.ts");
    return new PartitionedAdmin(this.stream, this.streams.map((stream) => store.admin(stream)));
  }

  #checkPlace(event: DomainEvent, number: number): void {
    if (this.#reported.has(number)) return;
    const subject = event.subject ?? this.#subjectIn(event);
    if (subject === undefined) return;
    const right = partitionOf(subject, this.partitions);
    if (right === number) return;
    this.#reported.add(number);
    this.#options.warn(
      `Partition ${number} of ${this.stream} has an event of partition ${right}: the entry at ${event.position}, with ` +
        `the subject ${
          JSON.stringify(subject)
        }. It is delivered, but in no order with others of its subject; whoever ` +
        `wrote it must choose the partition by partitionOf, and write to ${this.streams[right]}`,
    );
  }

  #subjectIn(event: DomainEvent): string | undefined {
    const { definition } = this.#options.codecs.find(({ definition: { type } }) => type === event.type)!;
    const subject = definition.subject && subjectIn(definition.subject, event.detail);
    return typeof subject === "string" ? subject : undefined;
  }
}
