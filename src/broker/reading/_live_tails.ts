import type { DomainEvent } from "../../events/mod.ts";
import type { EventStore, Position, StoredRecord } from "../../store/mod.ts";
import { backoff, RECONNECT, sleep, unlessAborted } from "../_store_retry.ts";
import type { Decoded } from "../codec/_event_codec.ts";
import { OTHER_TYPE, type StreamCodec } from "../codec/_stream_codec.ts";
import type { StreamLayout } from "../partitions/_stream_layout.ts";
import { Turns } from "../partitions/_turns.ts";
import { lastPosition } from "./_history.ts";
import { UndecodableError } from "../errors.ts";

// How often an entry is decoded: for about twenty seconds, which is longer than a failover of a database takes.
const MAX_ATTEMPTS = 10;

/** Callbacks of a tail. */
export interface TailEvents {
  /** Whether somebody listens to events of this type. */
  listens(eventType: string): boolean;
  arrived(event: DomainEvent): void;
  undecodable(error: UndecodableError): void;
  /** Decoding an entry has failed too often, through no fault of the entry: it is skipped. */
  failed(error: unknown): void;
  retrying(error: unknown, delay: number): void;
}

/** Follows one stream for live listeners, usually from the end that it finds at first: each entry once, also after reconnects. */
class Tail {
  /** Resolves when listeners will receive every event that is published from then on. */
  readonly attached: Promise<void>;
  #store: EventStore;
  #codec: StreamCodec;
  #events: TailEvents;
  #turns: Turns | undefined;
  #last: Position | undefined;
  /** How many tries of the store failed since the last entry. */
  #failures = 0;
  #ended = new AbortController();
  #following: Promise<void>;

  /**
   * @param fromStart Whether to begin with the first entry, not after the last one.
   * @param turns The turns of all partitions of the stream.
   */
  constructor(
    store: EventStore,
    codec: StreamCodec,
    events: TailEvents,
    fromStart: boolean,
    turns: Turns | undefined,
  ) {
    this.#turns = turns;
    this.#store = store;
    this.#codec = codec;
    this.#events = events;
    const { signal } = this.#ended;
    this.attached = fromStart
      ? Promise.resolve()
      : this.#untilEnded(async () => this.#passed(await lastPosition(store, codec.stream, signal)));
    this.#following = this.attached.then(() => this.#untilEnded(() => this.#follow()));
  }

  #passed(position: Position | undefined): void {
    this.#last = position;
    if (position !== undefined) this.#turns?.passed(this.#codec.stream, position);
  }

  async #follow(): Promise<void> {
    const after = this.#last === undefined ? {} : { after: this.#last };
    for await (
      const page of this.#store.read(this.#codec.stream, { ...after, follow: true, signal: this.#ended.signal })
    ) {
      this.#failures = 0;
      for (const record of page) {
        if (this.#ended.signal.aborted) return;
        const type = this.#codec.typeOf(record.fields);
        const decoded = this.#events.listens(type) ? this.#codec.decode(type, record) : OTHER_TYPE;
        const event = decoded instanceof Promise ? await this.#decodedLater(decoded, record, type) : decoded;
        const turn = this.#turns?.of(this.#codec.stream, record.position, this.#ended.signal);
        if (turn !== undefined) await turn;
        if (this.#ended.signal.aborted) return;
        // A listener may throw: the entry is dispatched once.
        this.#passed(record.position);
        if (event === OTHER_TYPE) continue;
        if (event instanceof UndecodableError) this.#events.undecodable(event);
        else if (event !== undefined) this.#events.arrived(event);
      }
    }
  }

  /** The decoded event, after as many tries as needed; undefined when the tail has ended or given up the entry. */
  async #decodedLater(
    decoding: Promise<Decoded<DomainEvent>>,
    record: StoredRecord,
    type: string,
  ): Promise<Decoded<DomainEvent> | undefined> {
    const { signal } = this.#ended;
    const decodeAgain = async () => await this.#codec.decode(type, record) as Decoded<DomainEvent>;
    for (let attempt = 1; !signal.aborted; attempt++) {
      try {
        return await unlessAborted(attempt === 1 ? decoding : decodeAgain(), signal);
      } catch (error) {
        if (signal.aborted) return undefined;
        // The entries behind it must not wait for ever.
        if (attempt === MAX_ATTEMPTS) return void this.#events.failed(error);
        const delay = backoff(RECONNECT, attempt);
        this.#events.retrying(error, delay);
        await sleep(delay, signal);
      }
    }
  }

  /** Tries again until the work succeeds or the tail ends: live listeners survive every failure of the store. */
  async #untilEnded(work: () => Promise<void>): Promise<void> {
    while (!this.#ended.signal.aborted) {
      try {
        return await work();
      } catch (error) {
        if (this.#ended.signal.aborted) return;
        const delay = backoff(RECONNECT, ++this.#failures);
        this.#events.retrying(error, delay);
        await sleep(delay, this.#ended.signal);
      }
    }
  }

  async end(): Promise<void> {
    this.#ended.abort();
    await this.#following;
  }
}

/** Follows the streams that have live listeners. */
export class LiveTails {
  #store: EventStore;
  #events: TailEvents;
  #byStream = new Map<string, Tail>();
  /** Ends to follow the layout of a stream, by the stream that all partitions belong to. */
  #layouts = new Map<string, AbortController>();
  #turns = new Map<string, Turns>();
  #ended = false;

  constructor(store: EventStore, events: TailEvents) {
    this.#store = store;
    this.#events = events;
  }

  /**
   * Begins to follow a stream, in all its partitions, when it has got its first listener, and ends when it has lost the
   * last one.
   *
   * @returns For each stream in the store that gets a tail, a promise that resolves when the tail knows where it begins.
   */
  follow(codec: StreamCodec, layout: StreamLayout | undefined, listened: boolean): Map<string, Promise<void>> {
    const attached = new Map<string, Promise<void>>();
    if (this.#ended) return attached;
    if (layout !== undefined) this.#followLayout(codec, layout, listened);
    for (const part of layout?.codecsOf(codec) ?? [codec]) {
      if (listened) {
        const tail = this.#add(part, false);
        if (tail !== undefined) attached.set(part.stream, tail.attached);
      } else {
        void this.#byStream.get(part.stream)?.end();
        this.#byStream.delete(part.stream);
      }
    }
    return attached;
  }

  /** Resolves when the tails of a stream that is followed know where they begin. */
  async attached(codec: StreamCodec, layout: StreamLayout | undefined): Promise<void> {
    const parts = layout?.codecsOf(codec) ?? [codec];
    await Promise.all(parts.map(({ stream }) => this.#byStream.get(stream)?.attached));
  }

  #add(codec: StreamCodec, fromStart: boolean): Tail | undefined {
    if (this.#byStream.has(codec.stream)) return undefined;
    const added = new Tail(this.#store, codec, this.#events, fromStart, this.#turns.get(codec.logical));
    this.#byStream.set(codec.stream, added);
    return added;
  }

  #followLayout(codec: StreamCodec, layout: StreamLayout, listened: boolean): void {
    if (!listened) {
      this.#layouts.get(layout.stream)?.abort();
      this.#layouts.delete(layout.stream);
      this.#turns.delete(layout.stream);
    } else if (!this.#layouts.has(layout.stream)) {
      const left = new AbortController();
      this.#layouts.set(layout.stream, left);
      this.#turns.set(layout.stream, new Turns(this.#store, layout));
      // A partition that was added while this broker listened has only events that were published since.
      const grow = (added: boolean) => layout.codecsOf(codec).forEach((part) => this.#add(part, added));
      layout.watch(grow, left.signal);
    }
  }

  /** Ends all tails. */
  async end(): Promise<void> {
    this.#ended = true;
    for (const left of this.#layouts.values()) left.abort();
    await Promise.all([...this.#byStream.values()].map((tail) => tail.end()));
  }
}
