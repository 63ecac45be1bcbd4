import type { RetentionOptions } from "../../events/mod.ts";
import type { EventStore } from "../../store/mod.ts";
import type { Observers } from "../_observers.ts";

const MIN_EVENTS = 100;
const MAX_INTERVAL = 60_000;

interface Plan {
  readonly eventType: string;
  readonly stream: string;
  readonly retention: RetentionOptions;
  events: number;
  lastTrim: number;
  trimming: Promise<void> | undefined;
}

/** Trims the streams that a broker publishes to and consumes from, now and then. */
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

  /** Keeps this much of the stream from now on. */
  keep(eventType: string, stream: string, retention: RetentionOptions): void {
    this.#plans.set(stream, { eventType, stream, retention, events: 0, lastTrim: Date.now(), trimming: undefined });
  }

  /** What is kept of a stream; undefined when everything is. */
  of(stream: string): RetentionOptions | undefined {
    return this.#plans.get(stream)?.retention;
  }

  /** So many events were published to the stream, or settled: the occasion to trim. */
  noted(stream: string, count: number): void {
    const plan = this.#plans.get(stream);
    if (plan === undefined || plan.trimming !== undefined) return;
    plan.events += count;
    const { maxLength = Infinity, maxAge = Infinity } = plan.retention;
    // Bounds are exceeded by a tenth at most, so that trimming is rare and each time takes a good piece.
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

  /** Waits for trimming that is under way. */
  async close(): Promise<void> {
    await Promise.all([...this.#plans.values()].map(({ trimming }) => trimming));
  }
}
