import type { EventStore } from "../../store/mod.ts";
import { backoff, isTransient, RECONNECT, settledWithin } from "../_store_retry.ts";
import type { StreamLayout } from "../partitions/_stream_layout.ts";
import { leave } from "./_leave.ts";
import { isLayoutChanged, type Place, placesOf } from "./_places.ts";
import { startTimer, type Timer } from "./_timer.ts";

// The most events of one step: more would keep the store from other work for too long.
const LIMIT = 200;
// How often each schedule is read, in milliseconds: at least once a second. Random, so that brokers spread out.
const POLL = 800;
const POLL_JITTER = 200;
// How long after its time a broker begins that learned of an event by reading, at most, in ms: another may have done it then.
const SPREAD = 15;
// A timer takes no longer delay, in milliseconds.
const LONGEST = 2 ** 31 - 1;
// After an error that calling again may not mend, in milliseconds.
const PAUSE = 1_000;
// How long closing waits for a step that is under way, in milliseconds.
const CLOSE_TIMEOUT = 1_000;

/** The part of a broker that its promoter uses. */
export interface PromoterOptions {
  readonly store: EventStore;
  /** The streams of the broker, each once. */
  readonly streams: readonly string[];
  /** The layout of a stream; undefined for a stream that never has partitions. */
  layoutOf(stream: string): StreamLayout | undefined;
  /** The store could not be reached; the next try comes after `delay` milliseconds. */
  retrying(error: unknown, delay: number): void;
  /** Scheduled events of a stream cannot be stored. */
  failed(error: unknown): void;
  /** Scheduled events were stored. */
  promoted(stream: string, count: number, bytes: number): void;
}

/** A schedule that is in force. */
interface Watched {
  readonly place: Place;
  /** The stream that all partitions belong to. */
  readonly logical: string;
  /** When its first event is due, by `performance.now()`; undefined if none waits. */
  dueAt: number | undefined;
  running: boolean;
  failures: number;
}

/**
 * Stores scheduled events when they are due. It knows the next time of each schedule from what its broker schedules, from its last
 * step, and by reading each schedule about once a second. Its timers measure time only; when an event is due decides the store.
 */
export class Promoter {
  #options: PromoterOptions;
  #watched = new Map<string, Watched>();
  /** Schedules of earlier layouts that were seen empty. */
  #left = new Set<string>();
  /** Errors that keep events from being stored, by stream. */
  #errors = new Map<string, unknown>();
  #timer: Timer | undefined;
  #timerAt = Infinity;
  #pollAt = 0;
  #polls = 0;
  #working = new Set<Promise<void>>();
  #closed = false;

  constructor(options: PromoterOptions) {
    this.#options = options;
  }

  /** Why events cannot be stored, by stream. */
  get errors(): ReadonlyMap<string, unknown> {
    return this.#errors;
  }

  /** Begins to work. */
  start(): void {
    this.#fire();
  }

  /** An event was scheduled, and is due in `wait` milliseconds. */
  note(place: Place, wait: number): void {
    const { logical } = this.#of(place);
    this.#seen(place, logical, wait);
  }

  #of(place: Place): { readonly logical: string } {
    const end = place.layout === undefined ? -1 : place.stream.lastIndexOf("#");
    return { logical: end < 0 ? place.stream : place.stream.slice(0, end) };
  }

  #seen(place: Place, logical: string, wait: number | undefined): Watched {
    const key = keyOf(place);
    let watched = this.#watched.get(key);
    if (watched === undefined) {
      watched = { place, logical, dueAt: undefined, running: false, failures: 0 };
      this.#watched.set(key, watched);
    }
    if (wait === undefined) return watched;
    watched.dueAt = Math.min(watched.dueAt ?? Infinity, performance.now() + wait);
    this.#arm(watched.dueAt);
    return watched;
  }

  #arm(at: number): void {
    if (this.#closed || at >= this.#timerAt) return;
    this.#timer?.stop();
    this.#timerAt = at;
    this.#timer = startTimer(() => this.#fire(), Math.min(LONGEST, Math.max(0, Math.ceil(at - performance.now()))));
  }

  #fire(): void {
    this.#timer?.stop();
    this.#timerAt = Infinity;
    const now = performance.now();
    if (this.#pollAt <= now) {
      this.#pollAt = now + POLL + POLL_JITTER * Math.random();
      this.#work(this.#poll());
    }
    let next = this.#pollAt;
    for (const watched of this.#watched.values()) {
      if (watched.dueAt === undefined || watched.running) continue;
      if (watched.dueAt <= now) this.#work(this.#promote(watched));
      else next = Math.min(next, watched.dueAt);
    }
    this.#arm(next);
  }

  #work(work: Promise<void>): void {
    const done = work.catch((error) => this.#closed || this.#options.failed(error)).then(() => {
      this.#working.delete(done);
    });
    this.#working.add(done);
  }

  async #promote(watched: Watched): Promise<void> {
    const { place, logical } = watched;
    const { store, promoted, layoutOf } = this.#options;
    watched.running = true;
    watched.dueAt = undefined;
    try {
      const schedule = store.schedule(place.stream, place.layout);
      // After a failure, another broker may have stored the events. A user who may not store any can see that.
      if (watched.failures > 0) {
        const { due, now } = await schedule.state();
        if (due === undefined || due > now) {
          this.#recovered(watched);
          if (due !== undefined) this.#seen(place, logical, due - now);
          return;
        }
      }
      for (let wait = 0; wait <= 0 && !this.#closed;) {
        const { appended, bytes, due, now } = await schedule.promote(LIMIT);
        if (watched.failures > 0) this.#recovered(watched);
        if (appended > 0) promoted(place.stream, appended, bytes);
        if (due === undefined) break;
        wait = due - now;
        if (wait > 0) this.#seen(place, logical, wait);
      }
    } catch (error) {
      if (this.#closed) return;
      if (isLayoutChanged(error)) {
        this.#watched.delete(keyOf(place));
        await this.#attempt(() => layoutOf(logical)!.refresh());
        this.#pollAt = 0;
      } else this.#seen(place, logical, this.#failed(logical, error, ++watched.failures));
    } finally {
      watched.running = false;
      if (!this.#closed) this.#arm(watched.dueAt ?? this.#pollAt);
    }
  }

  #recovered(watched: Watched): void {
    watched.failures = 0;
    this.#errors.delete(watched.logical);
  }

  /** Notes an error, and returns when to try again, in milliseconds. */
  #failed(logical: string, error: unknown, failures: number): number {
    if (isTransient(error)) {
      const delay = backoff(RECONNECT, failures);
      this.#options.retrying(error, delay);
      return delay;
    }
    // At first, another broker may store the events, for example if the user of this one may not publish.
    if (failures > 1) this.#errors.set(logical, error);
    if (failures === 2) this.#options.failed(error);
    return PAUSE;
  }

  async #poll(): Promise<void> {
    const counting = ++this.#polls;
    const { streams } = this.#options;
    await Promise.all(streams.map((stream) => this.#attempt(() => this.#look(stream, counting))));
  }

  /**
   * Runs `act`, and ignores a failure: the next poll tries again. health() tells about a store that cannot be reached. A user
   * who may not read a schedule leaves the events to other brokers.
   */
  async #attempt(act: () => Promise<void>): Promise<void> {
    await act().catch(() => {});
  }

  async #look(logical: string, counting: number): Promise<void> {
    const { store, layoutOf } = this.#options;
    const layout = layoutOf(logical);
    // An idle broker learns by this of partitions that others have added.
    if (layout !== undefined && (layout.partitions > 0 || counting % 5 === 1)) await layout.check();
    const { current, former } = placesOf(logical, layout);
    await Promise.all([
      ...current.map(async (place) => {
        const { due, now } = await store.schedule(place.stream, place.layout).state();
        const watched = this.#seen(place, logical, undefined);
        if (watched.running || watched.failures > 0) return;
        // Without any, one that this broker has scheduled meanwhile may be on its way to the store.
        if (due !== undefined) this.#seen(place, logical, Math.max(0, due - now) + SPREAD * Math.random());
      }),
      ...former.filter((place) => !this.#left.has(keyOf(place))).map(async (place) => {
        if ((await store.schedule(place.stream, place.layout).state()).waiting > 0) await leave(store, layout!, place);
        this.#left.add(keyOf(place));
        this.#watched.delete(keyOf(place));
      }),
    ]);
  }

  /** Ends the work. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#timer?.stop();
    await settledWithin(Promise.all(this.#working), CLOSE_TIMEOUT);
  }
}

function keyOf({ stream, layout }: Place): string {
  return `${stream} ${layout ?? ""}`;
}
