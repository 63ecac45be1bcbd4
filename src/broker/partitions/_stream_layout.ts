import { subjectIn } from "../../events/_subject.ts";
import type { DomainEvent } from "../../events/mod.ts";
import { WakeUp } from "../../store/_wake_up.ts";
import { isInstance } from "../../events/_foreign.ts";
import { type EventStore, type Position, positionTime, StoreError } from "../../store/mod.ts";
import type { EventCodec } from "../codec/_event_codec.ts";
import type { StreamCodec } from "../codec/_stream_codec.ts";
import type { KnownLayouts } from "./_agreement.ts";
import { type Layout, layoutAt, streamsOf } from "./_layout.ts";
import type { WholeAdmin } from "./_whole_admin.ts";
import { partitionOf } from "../partition_of.ts";
import { load } from "../../store/_load.ts";

// `repartition` announces a layout this long before any entry of it is appended, in milliseconds by the store's clock.
export const NOTICE = 1_500;
// By how much the clocks of a store's servers may differ, in milliseconds.
const CLOCK_DIFFERENCE = 500;
// How long after the announced time a layout must be in force, in milliseconds. Then the process that announced it counts as
// dead, and any broker puts the layout in force, since publishes may wait for it. If a broker fails to do so, it tries again
// after the same time.
const OVERDUE = 3_000;
// How often a broker that delivers events of a stream reads its layouts, in milliseconds: often enough to see an announcement
// before entries of the new layout come. Without partitions, a new layout has streams of its own, and none is missed.
const WATCH = 300;
const WATCH_UNPARTITIONED = 5_000;

/** A stream whose layout must be known. */
export interface StreamLayoutOptions {
  readonly store: EventStore;
  /** The codecs of the classes that share the stream. */
  readonly codecs: readonly EventCodec[];
  /** How many partitions the broker's options give; 0 for none. */
  readonly partitions: number;
  /** Whether the events of each subject are numbered. */
  readonly revisions: boolean;
  /** Tells the users of the broker about a problem. */
  warn(message: string): void;
  /** Aborts when the broker has drained. */
  readonly ended: AbortSignal;
}

/**
 * The partitions of one stream. At first, their number is that of the broker's options. Before anything is published or
 * consumed, it is compared with the number in the store; the first broker writes it there. Later it follows the store.
 */
export class StreamLayout {
  /** The name of the stream, without the prefix. */
  readonly name: string;
  /** The stream that all partitions belong to: `<prefix>:<name>`. */
  readonly stream: string;
  #options: StreamLayoutOptions;
  #layouts: readonly Layout[];
  #streams: readonly string[];
  /** Up to which time of the store's clock all entries are of these layouts. */
  #validUntil = -Infinity;
  #agreed = false;
  /** Whether the layouts were read from the store, and are not those of the options. */
  #known = false;
  #learning: Promise<KnownLayouts> | undefined;
  #refreshing: Promise<void> | undefined;
  #finishing: Promise<void> | undefined;
  /** When it may put an overdue layout in force, by `performance.now()`. */
  #finishFrom = -Infinity;
  #listeners: ((added: boolean) => void)[] = [];
  #watchers = new Set<(added: boolean) => void>();
  #watching = false;
  #watched = new WakeUp();
  /** Partitions whose misplaced events were reported. */
  #reported = new Set<string>();

  constructor(options: StreamLayoutOptions) {
    const [first] = options.codecs;
    this.#options = options;
    this.name = first!.definition.stream;
    this.stream = first!.stream;
    this.#layouts = [{ id: options.partitions === 0 ? 0 : 1, partitions: options.partitions }];
    this.#streams = streamsOf(this.stream, this.#layouts);
  }

  /** The layouts that the stream had, oldest first; the last one is in force. */
  get layouts(): readonly Layout[] {
    return this.#layouts;
  }

  /** The layout in force. */
  get newest(): Layout {
    return this.#layouts.at(-1)!;
  }

  /** The number of the layout in the store; undefined before {@linkcode agree} has resolved. */
  get id(): number | undefined {
    return this.#agreed ? this.newest.id : undefined;
  }

  /** How many partitions it has; 0 for none. */
  get partitions(): number {
    return this.newest.partitions;
  }

  /** Whether the events of each subject are numbered. */
  get revisions(): boolean {
    return this.#options.revisions;
  }

  /** Its streams in the store, those of earlier layouts included, which come first; the stream itself without partitions. */
  get streams(): readonly string[] {
    return this.#streams;
  }

  /** The stream in the store for events of this subject. */
  streamOf(subject: string, { partitions }: Layout = this.newest): string {
    return partitions === 0 ? this.stream : `${this.stream}#${partitionOf(subject, partitions)}`;
  }

  /** The codecs of the streams in the store that hold these events: one for each partition. */
  codecsOf<E extends DomainEvent>(codec: StreamCodec<E>): StreamCodec<E>[] {
    return this.#streams.map((stream) => this.codecOf(codec, stream));
  }

  /** The codec of one of the streams in the store. */
  codecOf<E extends DomainEvent>(codec: StreamCodec<E>, stream: string): StreamCodec<E> {
    if (stream === this.stream) return codec;
    const number = Number(stream.slice(this.stream.length + 1));
    return codec.of({ number, stream, decoded: (event) => this.#checkPlace(event, stream) });
  }

  /**
   * Whether the layout of an entry is known. `repartition` announces a layout some time before it is in force, so entries
   * are of a known layout for some time after the layouts were read.
   */
  knows(position: Position): boolean {
    return positionTime(position) <= this.#validUntil;
  }

  /**
   * Resolves once the store has this number of partitions. Asks the store until it has answered once.
   *
   * @throws {StoreError} `"partitions-differ"` if the store has another number, or if the stream was used without one.
   */
  async agree(): Promise<void> {
    if (this.#agreed) return;
    this.#learning ??= this.#learn(true).finally(() => this.#learning = undefined);
    this.#see(await this.#learning);
    this.#agreed = true;
  }

  /** The same, and reads the layouts again if they are known: another broker may have changed them since. */
  async agreeNow(): Promise<void> {
    await (this.#agreed ? this.refresh() : this.agree());
  }

  /** The same for callers that only read: it writes no layout where there is none. */
  async check(): Promise<void> {
    if (this.#agreed) return await this.refresh();
    const known = await this.#learn(false);
    if (known.layouts.at(-1)!.id === 0 && this.partitions > 0) return;
    this.#see(known);
    this.#agreed = true;
  }

  /** Reads the layouts again, which `repartition` may have changed. */
  refresh(): Promise<void> {
    return this.#refreshing ??= this.#refresh().finally(() => this.#refreshing = undefined);
  }

  async #refresh(): Promise<void> {
    const { store } = this.#options;
    const { readLayouts, restoreLayouts } = await load(() => import("./_agreement.ts"));
    let known = await readLayouts(store, this.stream);
    if (this.#agreed && known.layouts.at(-1)!.id < this.newest.id) {
      await restoreLayouts(store, this.stream, this.#layouts);
      known = await readLayouts(store, this.stream);
    }
    // The partitions of the options may not be in the store yet.
    if (this.#agreed || known.layouts.at(-1)!.id > 0 || this.partitions === 0) this.#see(known);
    if (known.next !== undefined && known.now > known.next.notBefore + OVERDUE) this.#finish(known.next.partitions);
  }

  /** Ends a change of the number of partitions that another process has begun and not ended. */
  #finish(partitions: number): void {
    if (this.#finishing !== undefined || performance.now() < this.#finishFrom) return;
    const { store, ended } = this.#options;
    this.#finishing = load(() => import("./_repartition.ts"))
      .then(({ repartition }) => repartition(store, this.stream, partitions, ended))
      // The user of this broker may lack the permission. Another broker, or the next call of `repartition`, ends it then.
      .then(() => {}, () => void (this.#finishFrom = performance.now() + OVERDUE))
      .finally(() => this.#finishing = undefined);
  }

  #see({ layouts, next, now }: KnownLayouts): void {
    const announced = next === undefined ? now + NOTICE : Math.max(next.notBefore ?? now, now);
    this.#validUntil = Math.max(this.#validUntil, announced - CLOCK_DIFFERENCE);
    // The options of a broker do not tell earlier layouts.
    const isNew = layouts.at(-1)!.id !== this.newest.id || layouts.length !== this.#layouts.length;
    const added = this.#known;
    this.#known = true;
    this.#layouts = layouts;
    if (!isNew) return;
    this.#streams = streamsOf(this.stream, layouts);
    for (const changed of [...this.#listeners, ...this.#watchers]) changed(added);
  }

  /** Calls back whenever this broker learns of another layout than it knew. */
  onChange(changed: () => void): void {
    this.#listeners.push(changed);
  }

  /**
   * Changes the number of partitions, while brokers publish and consume.
   *
   * @throws {TypeError} If a class of the stream takes no subject from its detail.
   */
  async repartition(partitions: number, signal: AbortSignal): Promise<void> {
    const without = this.#options.codecs.find(({ definition }) => definition.subject === undefined);
    if (without !== undefined) {
      throw new TypeError(
        `Cannot give partitions to ${this.stream}: the class ${without.definition.type} takes no subject from its ` +
          `detail; add the option subject to the class`,
      );
    }
    // The first layout of an unused stream is that of the options. Another number in the store is no obstacle here.
    await this.agree().catch((error) => {
      if (!isInstance(error, StoreError) || error.kind !== "partitions-differ") throw error;
    });
    const { repartition } = await load(() => import("./_repartition.ts"));
    await repartition(this.#options.store, this.stream, partitions, signal);
    await this.refresh();
    this.#agreed = true;
  }

  /**
   * Follows the layout in the store until the signal aborts. Calls back whenever it is another one than this broker knew.
   *
   * @param changed `added` is false when the layout was in force before this broker first read it.
   */
  watch(changed: (added: boolean) => void, signal: AbortSignal): void {
    if (signal.aborted) return;
    this.#watchers.add(changed);
    const leave = () => {
      this.#watchers.delete(changed);
      if (this.#watchers.size === 0) this.#watched.wake();
    };
    signal.addEventListener("abort", leave, { once: true });
    if (!this.#watching) void this.#follow();
  }

  async #follow(): Promise<void> {
    this.#watching = true;
    while (this.#watchers.size > 0) {
      // A failure is not reported here: the next call that needs the layout reads it again, and reports it.
      await this.refresh().catch(() => {});
      const wait = this.partitions === 0 ? WATCH_UNPARTITIONED : WATCH;
      if (this.#watchers.size > 0) await this.#watched.wait(undefined, wait);
    }
    this.#watching = false;
  }

  // Loaded on first use: most brokers have no partitions.
  async #learn(write: boolean): Promise<KnownLayouts> {
    const { agreedLayouts } = await load(() => import("./_agreement.ts"));
    const { stream, name } = this;
    const { store, partitions } = this.#options;
    return await agreedLayouts(store, { stream, name, partitions }, write);
  }

  /** The operations on all partitions together. */
  async admin(): Promise<WholeAdmin> {
    await this.check();
    const { store } = this.#options;
    if (this.streams.length === 1 && this.partitions === 0) return store.admin(this.stream);
    const { PartitionedAdmin } = await load(() => import("./_partitioned_admin.ts"));
    return new PartitionedAdmin(store, this);
  }

  #checkPlace(event: DomainEvent, stream: string): void {
    if (this.#reported.has(stream)) return;
    const subject = event.subject ?? this.#subjectIn(event);
    if (subject === undefined) return;
    const right = this.streamOf(subject, layoutAt(this.#layouts, stream, event.position!));
    if (right === stream) return;
    // The entry may be of a layout that this broker does not know yet.
    if (!this.knows(event.position!)) return;
    this.#reported.add(stream);
    this.#options.warn(
      `${stream} has an event of ${right}: the entry at ${event.position}, with the subject ${
        JSON.stringify(subject)
      }. ` +
        `It is delivered, but in no order with others of its subject; the program that wrote it must choose the partition by ` +
        `partitionOf, and write to ${right}`,
    );
  }

  #subjectIn(event: DomainEvent): string | undefined {
    const { definition } = this.#options.codecs.find(({ definition: { type } }) => type === event.type)!;
    const subject = definition.subject && subjectIn(definition.subject, event.detail);
    return typeof subject === "string" ? subject : undefined;
  }
}
