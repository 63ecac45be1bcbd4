import type { RetentionOptions } from "../../events/mod.ts";
import type { EventStore } from "../../store/mod.ts";
import type { Observers } from "../_observers.ts";

// A stream is trimmed after this many events, or a tenth of `maxLength` if that is more.
const MIN_EVENTS = 100;
// It is trimmed no later than this after the last time, in milliseconds, if an event was published or settled since.
const MAX_INTERVAL = 60_000;

interface Plan {
  readonly eventType: string;
  readonly stream: string;
  readonly retention: RetentionOptions;
  /** How many events were published or settled since the last trim. */
  events: number;
  /** When the stream was last trimmed, in milliseconds since the epoch. */
  lastTrim: number;
  trimming: Promise<void> | undefined;
}

/** Trims the streams that a broker publishes to and consumes from, from time to time. */
export class Retention {
  #store: EventStore;
  #plans = new Map<string, Plan>();
  #observers: Observers;
  #failed: (error: unknown) => void;

  constructor(store: EventStore, observers: Observers, failed: (error: unknown) => void) {
    this.#store = store;
    this.#observers = observers;
    this.#failed = failed;
  }

  /** Trims this stream from now on. */
  keep(eventType: string, stream: string, retention: RetentionOptions): void {
    this.#plans.set(stream, { eventType, stream, retention, events: 0, lastTrim: Date.now(), trimming: undefined });
  }

  /** The retention of a stream; undefined when the stream keeps everything. */
  of(stream: string): RetentionOptions | undefined {
    return this.#plans.get(stream)?.retention;
  }

  /** `count` events of the stream were published or settled: trims the stream if it is time. */
  noted(stream: string, count: number): void {
    const plan = this.#plans.get(stream);
    if (plan === undefined || plan.trimming !== undefined) return;
    plan.events += count;
    const { maxLength = Infinity, maxAge = Infinity } = plan.retention;
    // A stream may exceed its bounds by a tenth, so that it is trimmed rarely, and many entries at once.
    const enough = plan.events >= Math.max(MIN_EVENTS, maxLength / 10);
    if (!enough && Date.now() - plan.lastTrim < Math.min(maxAge / 10, MAX_INTERVAL)) return;
    plan.trimming = this.#trim(plan);
  }

  async #trim(plan: Plan): Promise<void> {
    const operation = { name: "trim", eventType: plan.eventType, group: undefined } as const;
    const trim = () => this.#store.admin(plan.stream).trim(plan.retention);
    try {
      await this.#observers.operate(operation, trim, ({ removed }) => removed);
    } catch (error) {
      this.#failed(error);
    }
    plan.events = 0;
    plan.lastTrim = Date.now();
    plan.trimming = undefined;
  }

  /** Waits for trims that have begun. */
  async close(): Promise<void> {
    await Promise.all([...this.#plans.values()].map(({ trimming }) => trimming));
  }
}
