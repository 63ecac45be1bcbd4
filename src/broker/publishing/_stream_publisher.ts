import type { EventStore, Fields, Position } from "../../store/mod.ts";
import { StoreError } from "../../store/mod.ts";
import { backoff, RECONNECT } from "../_store_retry.ts";
import { Fifo } from "../../store/_fifo.ts";
import { UncertainPublishError } from "../errors.ts";

/** The most events in one batch, and about the most bytes: no script and no transaction holds a store for long. */
export const MAX_BATCH = 500;
export const MAX_BATCH_BYTES: number = 2 ** 20;

// Batches of this size, up to so many on their way, measured best: client and store work at the same time.
const USUAL_BATCH = 125;
const MAX_FLIGHTS = 8;

/** Records that are appended together or not at all, and whoever waits for them. */
export interface Parcel {
  readonly records: readonly Fields[];
  readonly bytes: number;
  /** When the wait for an answer is over, by `performance.now()`. */
  readonly deadline: number;
  /** The store has the batch at these positions; this parcel's are those from this index on. */
  stored(positions: readonly Position[], from: number): void;
  /** It is certain that the store does not have it. */
  refused(error: unknown): void;
  /** Nobody can tell for now, or, when `forgotten`, ever; `stored` or `refused` may follow in the first case. */
  uncertain(error: UncertainPublishError, forgotten: boolean): void;
  /** True when the caller no longer wants it: it is left out unless it is on its way. */
  withdrawn: boolean;
}

/** A batch with its number. */
interface Flight {
  readonly sequence: number;
  readonly parcels: readonly Parcel[];
  readonly deadline: number;
  /** On its way; or to be sent again; or given up, so that the store is only asked what became of it. */
  state: "flying" | "unanswered" | "given-up";
  /** True once a failure left open whether the store has it. */
  doubtful: boolean;
  lastError: unknown;
}

/** What a lane goes by. */
export interface LaneOptions {
  readonly store: EventStore;
  readonly stream: string;
  /** Who publishes. */
  readonly producer: string;
  /** The store could not be reached; trying again after `delay`. */
  retrying(error: unknown, delay: number): void;
  appended(count: number): void;
}

/**
 * The way into one stream: what is published is sent in order, in numbered batches, several on their way at once.
 * After a failure everything unanswered is sent again in its order before anything else, under its old numbers: what
 * the store has already, it does not append again.
 */
export class Lane {
  /** Why what waits is not on its way; undefined while the store answers. */
  failure: unknown;
  #options: LaneOptions;
  #queue = new Fifo<Parcel>();
  #queued = 0;
  /** In the order of their numbers. An array: the tables of a map that it has outgrown keep old flights from the collector. */
  #flights: Flight[] = [];
  #flying = 0;
  #sequence = 0;
  /** True once the store has answered: it must know this producer from then on. */
  #known = false;
  #blockers = 0;
  #scheduled = false;
  #recovering = false;
  #closed = false;
  #failures = 0;
  /** True when the last answer was one: then what is left is sent again at once. */
  #reachable = true;
  #retryTimer: ReturnType<typeof setTimeout> | undefined;
  #empty: (() => void)[] = [];

  constructor(options: LaneOptions) {
    this.#options = options;
  }

  /** True while something is unanswered or waits to be sent. */
  get busy(): boolean {
    return this.#flights.length > 0 || this.#queue.length > 0;
  }

  push(parcel: Parcel): void {
    if (this.#closed) return parcel.refused(unsent(this.#options.stream, new Error("the broker is closed")));
    this.#queue.push(parcel);
    this.#queued += parcel.records.length;
    this.#schedule();
  }

  /** Sends nothing until the promise has settled. */
  async holdUntil(ready: Promise<unknown>): Promise<void> {
    this.#blockers++;
    await ready.catch(() => {});
    this.#blockers--;
    this.#schedule();
  }

  // In a microtask: what is published in one go goes out in one go, and a lone event does not wait.
  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    queueMicrotask(() => {
      this.#scheduled = false;
      this.#flush();
    });
  }

  #flush(): void {
    while (!this.#recovering && this.#blockers === 0 && this.#flights.length < MAX_FLIGHTS) {
      const parcels = this.#nextBatch(MAX_FLIGHTS - this.#flights.length);
      if (parcels.length === 0) break;
      const deadline = Math.min(...parcels.map((parcel) => parcel.deadline));
      const sequence = ++this.#sequence;
      const flight: Flight = { sequence, parcels, deadline, state: "flying", doubtful: false, lastError: undefined };
      this.#flights.push(flight);
      void this.#send(flight);
    }
    if (!this.busy) { for (const resolve of this.#empty.splice(0)) resolve(); }
  }

  #nextBatch(freeFlights: number): Parcel[] {
    // Batches grow when more waits than the free flights would carry.
    const most = this.#queued > freeFlights * USUAL_BATCH ? MAX_BATCH : USUAL_BATCH;
    const parcels: Parcel[] = [];
    let count = 0;
    let bytes = 0;
    for (let next = this.#queue.peek(); next !== undefined; next = this.#queue.peek()) {
      const size = next.records.length;
      if (next.withdrawn) next.refused(unsent(this.#options.stream, undefined));
      else {
        if (count > 0 && (count + size > most || bytes + next.bytes > MAX_BATCH_BYTES)) break;
        parcels.push(next);
        count += size;
        bytes += next.bytes;
      }
      this.#queue.shift();
      this.#queued -= size;
    }
    return parcels;
  }

  async #send(flight: Flight): Promise<void> {
    const { store, stream, producer: id } = this.#options;
    const { sequence, parcels } = flight;
    const oldest = this.#flights[0]?.sequence ?? sequence;
    const givenUp = flight.state === "given-up";
    const decided = givenUp ? sequence : oldest - 1;
    const records: Fields[] = [];
    if (!givenUp) { for (const parcel of parcels) for (const record of parcel.records) records.push(record); }
    flight.state = givenUp ? "given-up" : "flying";
    this.#flying++;
    try {
      const sentBefore = givenUp || flight.doubtful;
      const producer = { id, sequence, decided, known: this.#known && sentBefore };
      const positions = await store.append(stream, records, { producer });
      this.#known = true;
      this.#failures = 0;
      this.#reachable = true;
      this.failure = undefined;
      this.#answered(flight, positions);
    } catch (error) {
      this.#reachable = false;
      this.failure = error;
      this.#failed(flight, error, decided, givenUp);
    } finally {
      this.#flying--;
      if (this.#recovering && this.#flying === 0) this.#recover();
      else this.#flush();
    }
  }

  #land(flight: Flight): void {
    const at = this.#flights.indexOf(flight);
    if (at >= 0) this.#flights.splice(at, 1);
  }

  #answered(flight: Flight, positions: readonly Position[]): void {
    this.#land(flight);
    if (positions.length === 0) {
      const error = flight.lastError ?? new Error("the store does not have it");
      for (const parcel of flight.parcels) parcel.refused(error);
      return;
    }
    this.#options.appended(positions.length);
    let from = 0;
    for (const parcel of flight.parcels) {
      parcel.stored(positions, from);
      from += parcel.records.length;
    }
  }

  #failed(flight: Flight, error: unknown, decided: number, asked: boolean): void {
    const kind = error instanceof StoreError ? error.kind : undefined;
    flight.lastError = error;
    // Refused as out of sequence although nothing is undecided before it: the store has given this number up.
    const refusedForGood = kind === "out-of-sequence" && decided === flight.sequence - 1;
    const passing = kind === "transient" || kind === "uncertain" || kind === "out-of-sequence";
    if (kind === "forgotten" || refusedForGood || asked && !passing) {
      this.#land(flight);
      for (const parcel of flight.parcels) parcel.uncertain(uncertain(this.#options.stream, error, true), true);
    } else if (passing) {
      if (kind === "uncertain") flight.doubtful = true;
      if (flight.state === "flying") flight.state = "unanswered";
      this.#recovering = true;
    } else if (flight.doubtful) {
      // Refused now, but an earlier sending may have arrived: the store is asked what became of that.
      flight.state = "given-up";
      this.#recovering = true;
      for (const parcel of flight.parcels) parcel.uncertain(uncertain(this.#options.stream, error), false);
    } else {
      this.#land(flight);
      for (const parcel of flight.parcels) parcel.refused(error);
    }
  }

  // Nothing is on its way any more: after a pause, everything unanswered goes out again, in order.
  #recover(): void {
    if (this.#retryTimer !== undefined || this.#closed) return;
    const first = this.#flights[0];
    if (first === undefined) return this.#recovered();
    const outOfSequence = first.lastError instanceof StoreError && first.lastError.kind === "out-of-sequence";
    const delay = outOfSequence || this.#reachable ? 0 : backoff(RECONNECT, ++this.#failures);
    if (delay > 0) this.#options.retrying(first.lastError, delay);
    this.#retryTimer = setTimeout(() => {
      this.#retryTimer = undefined;
      this.expire();
      this.#recovering = false;
      const unanswered = [...this.#flights];
      // What was given up is asked about alone: the numbers after it follow from the answer.
      const upTo = unanswered.findIndex(({ state }) => state === "given-up");
      if (upTo === 0) this.#recovering = true;
      for (const flight of upTo === 0 ? unanswered.slice(0, 1) : unanswered) void this.#send(flight);
      this.#schedule();
    }, delay);
  }

  #recovered(): void {
    this.#recovering = false;
    this.#schedule();
  }

  /** Tells those whose time is over; `now` may be set ahead to give up everything. */
  expire(now: number = performance.now()): void {
    for (const flight of [...this.#flights]) {
      if (flight.deadline > now || flight.state === "given-up") continue;
      const inDoubt = flight.state === "flying" || flight.doubtful;
      const error = flight.lastError;
      if (inDoubt) {
        flight.state = "given-up";
        this.#recovering = true;
        for (const parcel of flight.parcels) parcel.uncertain(uncertain(this.#options.stream, error), false);
      } else {
        this.#land(flight);
        for (const parcel of flight.parcels) parcel.refused(unsent(this.#options.stream, error));
      }
    }
    for (let next = this.#queue.peek(); next !== undefined && next.deadline <= now; next = this.#queue.peek()) {
      this.#queue.shift();
      this.#queued -= next.records.length;
      next.refused(unsent(this.#options.stream, this.failure));
    }
    // Nobody waits for the next try any more: whoever publishes next does not wait for it either.
    if (this.#flights.length === 0 && this.#retryTimer !== undefined) {
      clearTimeout(this.#retryTimer);
      this.#retryTimer = undefined;
      this.#recovered();
    }
  }

  /** Resolves when everything is answered. */
  drained(): Promise<void> {
    return this.busy ? new Promise((resolve) => this.#empty.push(resolve)) : Promise.resolve();
  }

  /** Gives everything up, for good. */
  close(): void {
    this.#closed = true;
    this.expire(Infinity);
    clearTimeout(this.#retryTimer);
    this.#recovering = true;
  }
}

/** For an event that may or may not be stored: the store is still asked, unless it has `forgotten`. */
export function uncertain(stream: string, cause: unknown, forgotten = false): UncertainPublishError {
  const why = cause instanceof Error ? cause.message : "no answer came in time";
  const wayOut = forgotten
    ? "look for its id in the history before you publish another"
    : "publish the same object again to find out";
  return new UncertainPublishError(`Cannot tell whether ${stream} has the event: ${why}; ${wayOut}`, { cause });
}

/** For an event that is certainly not stored. */
export function unsent(stream: string, cause: unknown): Error {
  const why = cause instanceof Error ? cause.message : "the store could not be reached";
  return new Error(`Cannot publish to ${stream} in time: ${why}; nothing was stored, publish it again`, { cause });
}
