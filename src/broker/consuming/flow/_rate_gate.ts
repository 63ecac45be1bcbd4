import { Fifo } from "../../../store/_fifo.ts";
import type { Limiter, RateLimit } from "../../../store/mod.ts";
import { backoff, RECONNECT } from "../../_store_retry.ts";

// Starts are reserved at most so long before they are due, in milliseconds.
const AHEAD = 100;
// The most starts that one call reserves.
const MOST = 1_000;
// A reserved start that nothing used for so long is given up, in milliseconds: using it later would make a burst.
const STALE = 20;
// How long until the limit is asked about again at the latest, in milliseconds.
const LONGEST_WAIT = 1_000;

/** A job that waits for its turn. */
export interface RatedJob {
  readonly state: string;
}

/** The surroundings of a gate. */
export interface RateGateOptions<J extends RatedJob> {
  readonly limiter: Limiter;
  /** The key of a job, whose limit it has; undefined if all have the same. */
  readonly by: ((job: J) => string) | undefined;
  /** The limit of the subscription; undefined if only the group may have one. */
  readonly rate: RateLimit | undefined;
  /** Aborts when no more jobs start. */
  readonly closing: AbortSignal;
  /** Starts jobs that may start now. */
  pump(): void;
  /** The key of a job cannot be told. */
  failed(job: J, error: unknown): void;
  /** The store could not be reached; the next try comes after `delay` milliseconds. */
  retrying(error: unknown, delay: number): void;
}

/** The jobs of one key. */
interface Lane<J> {
  readonly key: string;
  readonly waiting: Fifo<J>;
  /** When reserved starts are due, by `performance.now()`, in ascending order. */
  permits: number[];
  /** How many starts to have in reserve: more if handlers are fast. */
  wanted: number;
  asking: boolean;
  timer: ReturnType<typeof setTimeout> | undefined;
  failures: number;
}

/** Keeps jobs until the limit of their group allows them to start, in order. */
export class RateGate<J extends RatedJob> {
  #options: RateGateOptions<J>;
  #own: RateLimit | undefined;
  #lanes = new Map<string, Lane<J>>();

  constructor(options: RateGateOptions<J>) {
    this.#options = options;
    options.closing.addEventListener("abort", () => {
      for (const { timer } of this.#lanes.values()) clearTimeout(timer);
    });
  }

  /** The limit that the group has been given. */
  set own(rate: RateLimit | undefined) {
    // The control of the group is read again and again, mostly without a change.
    if (isSame(rate, this.#own)) return;
    this.#own = rate;
    // What waits for the former limit asks about this one.
    for (const lane of this.#lanes.values()) {
      clearTimeout(lane.timer);
      lane.timer = undefined;
      lane.permits = [];
    }
  }

  get #rate(): RateLimit | undefined {
    return this.#own ?? this.#options.rate;
  }

  /** Keeps a job until it may start. */
  push(job: J): void {
    const { by, failed } = this.#options;
    let key = "";
    try {
      if (by !== undefined) key = by(job);
    } catch (error) {
      return failed(job, error);
    }
    let lane = this.#lanes.get(key);
    if (lane === undefined) {
      lane = { key, waiting: new Fifo(), permits: [], wanted: 1, asking: false, timer: undefined, failures: 0 };
      this.#lanes.set(key, lane);
    }
    lane.waiting.push(job);
  }

  /** Takes a job that may start now. */
  shift(): J | undefined {
    for (const lane of this.#lanes.values()) {
      const job = this.#from(lane);
      if (job !== undefined) return job;
    }
    return undefined;
  }

  #from(lane: Lane<J>): J | undefined {
    let job = lane.waiting.peek();
    // It was lost or released meanwhile.
    while (job !== undefined && job.state !== "waiting") {
      lane.waiting.shift();
      job = lane.waiting.peek();
    }
    const now = performance.now();
    this.#dropStale(lane, now);
    if (job === undefined) {
      if (lane.permits.length === 0 && !lane.asking) this.#forget(lane);
      return undefined;
    }
    const rate = this.#rate;
    const may = rate === undefined || lane.permits[0]! <= now;
    if (may) {
      lane.waiting.shift();
      lane.permits.shift();
    } else if (lane.permits.length === 0 && !lane.asking && lane.timer === undefined) {
      lane.wanted = Math.min(lane.wanted * 2, MOST, Math.max(1, Math.ceil(AHEAD * rate.limit / rate.per)));
    }
    if (rate !== undefined) this.#plan(lane, rate, now);
    return may ? job : undefined;
  }

  #dropStale(lane: Lane<J>, now: number): void {
    let stale = 0;
    while (stale < lane.permits.length && lane.permits[stale]! < now - STALE) stale++;
    if (stale === 0) return;
    lane.permits.splice(0, stale);
    lane.wanted = Math.max(1, lane.wanted >> 1);
  }

  #forget(lane: Lane<J>): void {
    clearTimeout(lane.timer);
    this.#lanes.delete(lane.key);
  }

  /** Reserves more starts if there are few, and wakes the scheduler when the next one is due. */
  #plan(lane: Lane<J>, rate: RateLimit, now: number): void {
    const { length } = lane.waiting;
    if (length === 0 || this.#options.closing.aborted) return;
    const [first] = lane.permits;
    if (
      lane.permits.length * 2 <= Math.min(lane.wanted, length) && !lane.asking && (lane.timer === undefined || first)
    ) {
      void this.#ask(lane, rate);
    }
    if (first !== undefined && first > now) this.#wakeAfter(lane, first - now);
  }

  #wakeAfter(lane: Lane<J>, ms: number): void {
    if (lane.timer !== undefined) return;
    lane.timer = setTimeout(() => {
      lane.timer = undefined;
      this.#options.pump();
    }, ms);
  }

  async #ask(lane: Lane<J>, rate: RateLimit): Promise<void> {
    const { limiter, retrying } = this.#options;
    lane.asking = true;
    const count = Math.max(1, Math.min(lane.wanted, lane.waiting.length) - lane.permits.length);
    let wait: number | undefined;
    try {
      const { delays, next } = await limiter.take(rate, { count, ahead: AHEAD, key: lane.key });
      const now = performance.now();
      for (const delay of delays) lane.permits.push(now + delay);
      lane.failures = 0;
      if (delays.length === 0) wait = Math.min(LONGEST_WAIT, Math.max(1, next - AHEAD / 2));
    } catch (error) {
      wait = backoff(RECONNECT, ++lane.failures);
      retrying(error, wait);
    }
    lane.asking = false;
    if (this.#options.closing.aborted) return;
    if (wait !== undefined) this.#wakeAfter(lane, wait);
    else this.#options.pump();
  }
}

function isSame(a: RateLimit | undefined, b: RateLimit | undefined): boolean {
  return a?.limit === b?.limit && a?.per === b?.per && a?.burst === b?.burst;
}
