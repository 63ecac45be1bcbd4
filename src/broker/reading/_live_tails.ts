import type { DomainEvent } from "../../events/mod.ts";
import type { EventStore } from "../../store/mod.ts";
import type { EventCodec } from "../codec/_event_codec.ts";
import { Tail, type TailEvents } from "./_live_tail.ts";

/** The streams that a broker follows for its live listeners: those with a listener now, and no others. */
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
   * Begins to follow the stream when its first listener came, ends when the last one left.
   *
   * @returns When a new tail knows where it begins; undefined when no tail began.
   */
  follow(codec: EventCodec<DomainEvent>, listened: boolean): Promise<void> | undefined {
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
