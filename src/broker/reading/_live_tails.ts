import type { DomainEvent } from "../../events/mod.ts";
import type { EventStore, Position, StoredRecord } from "../../store/mod.ts";
import { backoff, RECONNECT, sleep, unlessAborted } from "../_store_retry.ts";
import type { Decoded } from "../codec/_event_codec.ts";
import { OTHER_TYPE, type StreamCodec } from "../codec/_stream_codec.ts";
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

/** Follows one stream for live listeners: from the end that it finds at first, each entry once, also after reconnects. */
class Tail {
  /** Resolves when listeners will receive every event that is published from then on. */
  readonly attached: Promise<void>;
  #store: EventStore;
  #codec: StreamCodec;
  #events: TailEvents;
  #last: Position | undefined;
  /** How many tries of the store failed since the last entry. */
  #failures = 0;
  #ended = new AbortController();
  #following: Promise<void>;

  constructor(store: EventStore, codec: StreamCodec, events: TailEvents) {
    this.#store = store;
    this.#codec = codec;
    this.#events = events;
    const { signal } = this.#ended;
    this.attached = this.#untilEnded(async () => void (this.#last = await lastPosition(store, codec.stream, signal)));
    this.#following = this.attached.then(() => this.#untilEnded(() => this.#follow()));
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
        if (this.#ended.signal.aborted) return;
        this.#last = record.position;
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
  #ended = false;

  constructor(store: EventStore, events: TailEvents) {
    this.#store = store;
    this.#events = events;
  }

  /**
   * Begins to follow the stream when it has got its first listener, and ends when it has lost the last one.
   *
   * @returns A promise that resolves when a new tail knows where it begins; undefined when no tail was added.
   */
  follow(codec: StreamCodec, listened: boolean): Promise<void> | undefined {
    if (this.#ended) return undefined;
    const tail = this.#byStream.get(codec.stream);
    if (!listened) {
      this.#byStream.delete(codec.stream);
      void tail?.end();
      return undefined;
    }
    if (tail !== undefined) return undefined;
    const added = new Tail(this.#store, codec, this.#events);
    this.#byStream.set(codec.stream, added);
    return added.attached;
  }

  /** Ends all tails. */
  async end(): Promise<void> {
    this.#ended = true;
    await Promise.all([...this.#byStream.values()].map((tail) => tail.end()));
  }
}
