import { PublishQueueFullError } from "../errors.ts";

/** Counts the events of a broker that wait for a reply of the store, over all streams, and keeps them within limits. */
export class PublishQueue {
  #maxEvents: number;
  #maxBytes: number;
  #events = 0;
  #bytes = 0;

  constructor(maxEvents: number, maxBytes: number) {
    this.#maxEvents = maxEvents;
    this.#maxBytes = maxBytes;
  }

  /** Throws a `PublishQueueFullError` unless there is room. A call of any size fits when no event waits. */
  assertRoom(where: string, events: number, bytes: number): void {
    if (this.#events === 0) return;
    const tooMany = this.#events + events > this.#maxEvents;
    if (!tooMany && this.#bytes + bytes <= this.#maxBytes) return;
    const waiting = tooMany ? `${this.#events} events` : `${this.#events} events of ${this.#bytes} bytes`;
    throw new PublishQueueFullError(
      `Cannot publish to ${where}: ${waiting} wait for the store already; ` +
        `wait for earlier publishes, or raise ${tooMany ? "maxQueued" : "maxQueuedBytes"}`,
    );
  }

  enter(events: number, bytes: number): void {
    this.#events += events;
    this.#bytes += bytes;
  }

  leave(events: number, bytes: number): void {
    this.#events -= events;
    this.#bytes -= bytes;
  }
}
