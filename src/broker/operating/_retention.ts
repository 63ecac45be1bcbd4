import type { RetentionOptions } from "../../events/mod.ts";
import type { EventStore } from "../../store/mod.ts";
import type { Observers } from "../observing/_observers.ts";
import { shareOf, streamsOf } from "../partitions/_layout.ts";
import type { StreamLayouts } from "../partitions/_stream_layouts.ts";

// A stream is trimmed after this many events, or a tenth of `maxLength` if that is more.
const MIN_EVENTS = 100;
// Or after this many bytes, or a tenth of `maxBytes` if that is more.
const MIN_BYTES = 2 ** 16;
// It is trimmed no later than this after the last time, in milliseconds, if an event was published or settled since.
const MAX_INTERVAL = 60_000;

interface Plan {
  readonly eventType: string;
  /** The stream in the store. */
  readonly stream: string;
  readonly retention: RetentionOptions;
  /** How many events were published or settled since the last trim. */
  events: number;
  /** How many bytes they had. */
  bytes: number;
  /** When the stream was last trimmed, in milliseconds since the epoch. */
  lastTrim: number;
  trimming: Promise<void> | undefined;
}

/** Trims the streams that a broker publishes to and consumes from, from time to time. */
export class Retention {
  #store: EventStore;
  #layouts: StreamLayouts;
  #plans = new Map<string, Plan>();
  #observers: Observers;
  #failed: (error: unknown) => void;

  constructor(store: EventStore, layouts: StreamLayouts, observers: Observers, failed: (error: unknown) => void) {
    this.#store = store;
    this.#layouts = layouts;
    this.#observers = observers;
    this.#failed = failed;
  }

  /** Trims this stream from now on. */
  keep(eventType: string, stream: string, retention: RetentionOptions): void {
    const now = Date.now();
    this.#plans.set(stream, { eventType, stream, retention, events: 0, bytes: 0, lastTrim: now, trimming: undefined });
  }

  /** The retention of a stream in the store, of a partition its share; undefined when the stream keeps everything. */
  of(stream: string): RetentionOptions | undefined {
    const layout = this.#layouts.of(stream);
    const retention = this.#plans.get(layout?.stream ?? stream)?.retention;
    if (retention === undefined || layout === undefined || layout.partitions === 0) return retention;
    return shareOf(retention, layout.partitions);
  }

  /** `count` events of so many bytes were published or settled: trims their stream if it is time. */
  noted(stream: string, count: number, bytes: number): void {
    const plan = this.#plans.get(stream) ?? this.#planOfPartition(stream);
    if (plan === undefined || plan.trimming !== undefined) return;
    plan.events += count;
    plan.bytes += bytes;
    const { maxLength = Infinity, maxBytes = Infinity, maxAge = Infinity } = this.of(stream)!;
    // A stream may exceed its bounds by a tenth, so that it is trimmed rarely, and many entries at once.
    const enough = plan.events >= Math.max(MIN_EVENTS, maxLength / 10) ||
      plan.bytes >= Math.max(MIN_BYTES, maxBytes / 10);
    if (!enough && Date.now() - plan.lastTrim < Math.min(maxAge / 10, MAX_INTERVAL)) return;
    plan.trimming = this.#trim(plan);
    // Nothing is published to the partitions from before their number changed, but their events get older.
    const layout = this.#layouts.of(stream);
    if (layout === undefined || layout.layouts.length === 1) return;
    const current = new Set(streamsOf(layout.stream, [layout.newest]));
    for (const former of layout.streams) if (!current.has(former) && former !== stream) this.noted(former, 0, 0);
  }

  #planOfPartition(stream: string): Plan | undefined {
    const whole = this.#plans.get(this.#layouts.of(stream)?.stream ?? "");
    if (whole === undefined) return undefined;
    const plan = { ...whole, stream, events: 0, bytes: 0, lastTrim: Date.now(), trimming: undefined };
    this.#plans.set(stream, plan);
    return plan;
  }

  async #trim(plan: Plan): Promise<void> {
    const operation = { name: "trim", eventType: plan.eventType, group: undefined } as const;
    const trim = () => this.#store.admin(plan.stream).trim(this.of(plan.stream)!);
    try {
      await this.#observers.operate(operation, trim, ({ removed }) => removed);
    } catch (error) {
      this.#failed(error);
    }
    plan.events = 0;
    plan.bytes = 0;
    plan.lastTrim = Date.now();
    plan.trimming = undefined;
  }

  /** Waits for trims that have begun. */
  async close(): Promise<void> {
    await Promise.all([...this.#plans.values()].map(({ trimming }) => trimming));
  }
}
