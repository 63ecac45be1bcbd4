import { isInstance } from "../../events/_foreign.ts";
import { Fifo } from "../../store/_fifo.ts";
import type { Position } from "../../store/mod.ts";
import { StoreError, type StoreErrorKind } from "../../store/mod.ts";
import { backoff, RECONNECT } from "../_store_retry.ts";
import type { PublishError, UncertainPublishError } from "../errors.ts";
import type { Append, Appendable, Appended } from "./_append.ts";
import { closedBefore, conflict, forgotten, timedOut, uncertain, uncertainAtClose } from "./_publish_errors.ts";

/** How many events a batch may have: a larger batch would block the store for too long. */
export const MAX_BATCH = 500;
/** How many bytes several events in a batch may have, approximately. */
export const MAX_BATCH_BYTES: number = 2 ** 20;

// Batches of this size, with this many in flight, were the fastest in measurements: client and store work in parallel.
const USUAL_BATCH = 125;
/** How many batches of a stream are in flight at once, over all its partitions. */
export const MAX_IN_FLIGHT = 8;

/** The records of one call of `publish`, which are appended together or not at all. */
export interface QueuedPublish extends Appendable {
  readonly bytes: number;
  /** Ids of its events. */
  readonly ids: readonly string[];
  /** When the wait for a reply is over, by `performance.now()`. */
  readonly deadline: number;
  /** The store has the batch at these positions and revisions. Those of this publish begin at index `from`. */
  stored(positions: readonly Position[], from: number, revisions: readonly number[] | undefined): void;
  /** The store has scheduled the batch for these times, in milliseconds since the epoch; those of this publish from `from` on. */
  scheduled(dues: readonly number[], from: number): void;
  /** The store certainly does not have the records. */
  refused(error: unknown): void;
  /** The outcome is unknown. With `forgotten` it stays unknown; otherwise `stored` or `refused` may follow. */
  uncertain(error: PublishError | UncertainPublishError, forgotten: boolean): void;
  /** True when the caller has stopped waiting: the records are not sent, unless they are in flight already. */
  readonly withdrawn: boolean;
}

/** Publishes that are sent together in one append. */
interface Batch {
  /** The number of the batch. */
  readonly sequence: number;
  readonly publishes: readonly QueuedPublish[];
  readonly deadline: number;
  /** In flight; to be sent again; or given up, when the store is only asked for the outcome. */
  state: "in-flight" | "unanswered" | "given-up";
  /** True once a failure has left open whether the store has the batch. */
  inDoubt: boolean;
  lastError: unknown;
}

/** How a stream publisher works. */
export interface StreamPublisherOptions {
  readonly stream: string;
  readonly append: Append;
  /** The producer's id, unique for each broker. */
  readonly producer: string;
  /** The layout by which publishes come to this stream; left out for a stream that never has partitions. */
  layout?(): number | undefined;
  /** How many batches may be in flight. @default {8} */
  inFlight?(): number;
  /** The store could not be reached; the next try comes after `delay` milliseconds. */
  retrying(error: unknown, delay: number): void;
  /** The store has appended `count` events of so many bytes. */
  appended(count: number, bytes: number): void;
  /** The stream takes no more events of the layout by which publishes came to it: {@linkcode StreamPublisher.takeAll} them. */
  moved?(): void;
}

/**
 * Sends the events of one stream in order, in numbered batches, with several in flight at once.
 *
 * After a failure, all unanswered batches are sent again before any new batch, in order and with their old numbers. The
 * store does not append a batch that it already has.
 */
export class StreamPublisher {
  /** The last error of the store; undefined after a successful append. */
  failure: unknown;
  #options: StreamPublisherOptions;
  #queue = new Fifo<QueuedPublish>();
  /** How many events are queued. */
  #queued = 0;
  /** Unanswered batches by rising number. Not a Map, whose old tables would keep answered batches in memory. */
  #unanswered: Batch[] = [];
  #inFlight = 0;
  #sequence = 0;
  /** True once the store has replied, so that it must know this producer. */
  #known = false;
  /** How many promises {@linkcode holdUntil} waits for. */
  #blockers = 0;
  #scheduled = false;
  /** True from a failure until all unanswered batches were sent again: meanwhile no new batch is sent. */
  #recovering = false;
  #closed = false;
  #failures = 0;
  /** True if the last append succeeded: then unanswered batches are sent again without a delay. */
  #reachable = true;
  #retryTimer: ReturnType<typeof setTimeout> | undefined;
  #onDrained: (() => void)[] = [];
  /** Batches that the store has refused because the layout has changed. */
  #moved: Batch[] = [];
  #onAnswered: (() => void)[] = [];

  constructor(options: StreamPublisherOptions) {
    this.#options = options;
  }

  /** True while a batch is unanswered or an event is queued. */
  get busy(): boolean {
    return this.#unanswered.length > 0 || this.#queue.length > 0 || this.#moved.length > 0;
  }

  push(publish: QueuedPublish): void {
    if (this.#closed) return publish.refused(closedBefore(this.#options.stream));
    this.#queue.push(publish);
    this.#queued += publish.records.length;
    this.#schedule();
  }

  /** Sends no batch until the promise has settled. */
  async holdUntil(ready: Promise<unknown>): Promise<void> {
    this.#blockers++;
    await ready.catch(() => {});
    this.#blockers--;
    this.#schedule();
  }

  /** Rejects all publishes that were not sent yet. */
  refuse(error: unknown): void {
    for (const publish of this.#queue.drain()) publish.refused(error);
    this.#queued = 0;
  }

  /** Resolves when no batch is unanswered. Call {@linkcode holdUntil} before, or new batches follow. */
  answered(): Promise<void> {
    if (this.#unanswered.length === 0) return Promise.resolve();
    return new Promise((resolve) => this.#onAnswered.push(resolve));
  }

  /** Removes all publishes that the store does not have, in order. */
  takeAll(): QueuedPublish[] {
    const moved = this.#moved.sort((a, b) => a.sequence - b.sequence).flatMap(({ publishes }) => publishes);
    const taken = [...moved, ...this.#queue.drain()];
    this.#moved = [];
    this.#queued = 0;
    this.#schedule();
    return taken;
  }

  // In a microtask, so that events which are published together are sent together, and a single event hardly waits.
  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    queueMicrotask(() => {
      this.#scheduled = false;
      this.#flush();
    });
  }

  #flush(): void {
    const most = this.#options.inFlight?.() ?? MAX_IN_FLIGHT;
    while (!this.#recovering && this.#blockers === 0 && this.#unanswered.length < most) {
      const publishes = this.#nextBatch(most - this.#unanswered.length);
      if (publishes.length === 0) break;
      const deadline = Math.min(...publishes.map((publish) => publish.deadline));
      const sequence = ++this.#sequence;
      const batch: Batch = { sequence, publishes, deadline, state: "in-flight", inDoubt: false, lastError: undefined };
      this.#unanswered.push(batch);
      void this.#send(batch);
    }
    if (!this.busy) { for (const resolve of this.#onDrained.splice(0)) resolve(); }
  }

  #nextBatch(free: number): QueuedPublish[] {
    // Batches are larger when more events wait than batches of the usual size could take.
    const most = this.#queued > free * USUAL_BATCH ? MAX_BATCH : USUAL_BATCH;
    const publishes: QueuedPublish[] = [];
    let count = 0;
    let bytes = 0;
    for (let next = this.#queue.peek(); next !== undefined; next = this.#queue.peek()) {
      const size = next.records.length;
      if (next.withdrawn) next.refused(timedOut(this.#options.stream, undefined));
      else {
        const first = publishes[0];
        const alone = next.expected !== undefined || first?.expected !== undefined ||
          (next.when === undefined) !== (first?.when === undefined);
        if (count > 0 && (alone || count + size > most || bytes + next.bytes > MAX_BATCH_BYTES)) break;
        publishes.push(next);
        count += size;
        bytes += next.bytes;
      }
      this.#queue.shift();
      this.#queued -= size;
    }
    return publishes;
  }

  async #send(batch: Batch): Promise<void> {
    const { append, producer: id } = this.#options;
    const { sequence, publishes } = batch;
    const oldest = this.#unanswered[0]?.sequence ?? sequence;
    const givenUp = batch.state === "given-up";
    const decided = givenUp ? sequence : oldest - 1;
    batch.state = givenUp ? "given-up" : "in-flight";
    this.#inFlight++;
    try {
      const sentBefore = givenUp || batch.inDoubt;
      const producer = { id, sequence, decided, known: this.#known && sentBefore };
      const layout = this.#options.layout?.();
      const appended = await append(
        givenUp ? [] : publishes,
        layout === undefined ? { producer } : { producer, layout },
        publishes[0]!.when !== undefined,
      );
      this.#replied();
      this.#answered(batch, appended);
    } catch (error) {
      if (isConflict(error)) this.#conflicted(batch, error);
      else {
        this.#reachable = false;
        this.failure = error;
        this.#failed(batch, error, decided, givenUp);
      }
    } finally {
      this.#inFlight--;
      if (this.#unanswered.length === 0) { for (const resolve of this.#onAnswered.splice(0)) resolve(); }
      if (this.#recovering && this.#inFlight === 0) this.#recover();
      else this.#flush();
    }
  }

  #replied(): void {
    this.#known = true;
    this.#failures = 0;
    this.#reachable = true;
    this.failure = undefined;
  }

  /** The store has decided the batch, also if it is not the first time that it was asked. */
  #conflicted(batch: Batch, error: StoreError): void {
    this.#replied();
    this.#remove(batch);
    for (const publish of batch.publishes) publish.refused(conflict(this.#options.stream, publish.expected!, error));
  }

  #remove(batch: Batch): void {
    const at = this.#unanswered.indexOf(batch);
    if (at >= 0) this.#unanswered.splice(at, 1);
  }

  #answered(batch: Batch, { positions, revisions, dues }: Appended): void {
    this.#remove(batch);
    if ((dues ?? positions).length === 0) {
      const error = batch.lastError ??
        new Error(`Cannot publish to ${this.#options.stream}: the store does not have the events; publish them again`);
      for (const publish of batch.publishes) publish.refused(error);
      return;
    }
    if (dues === undefined) {
      this.#options.appended(positions.length, batch.publishes.reduce((sum, { bytes }) => sum + bytes, 0));
    }
    let from = 0;
    for (const publish of batch.publishes) {
      if (dues === undefined) publish.stored(positions, from, revisions);
      else publish.scheduled(dues, from);
      from += publish.records.length;
    }
  }

  #failed(batch: Batch, error: unknown, decided: number, asked: boolean): void {
    const { stream } = this.#options;
    const kind = kindOf(error);
    batch.lastError = error;
    // Out of sequence although all batches before it are decided: the store has given up this number.
    const refusedForGood = kind === "out-of-sequence" && decided === batch.sequence - 1;
    const passing = kind === "transient" || kind === "uncertain" || kind === "out-of-sequence";
    if (kind === "forgotten" || refusedForGood || asked && !passing) {
      this.#remove(batch);
      for (const publish of batch.publishes) publish.uncertain(forgotten(stream, publish.ids, error), true);
    } else if (kind === "layout-changed" && this.#options.moved !== undefined) {
      this.#remove(batch);
      this.#moved.push(batch);
      this.#options.moved();
    } else if (passing) {
      if (kind === "uncertain") batch.inDoubt = true;
      if (batch.state === "in-flight") batch.state = "unanswered";
      this.#recovering = true;
    } else if (batch.inDoubt) {
      // The store refuses now, but may have the batch from an earlier attempt: it is asked for the outcome.
      batch.state = "given-up";
      this.#recovering = true;
      for (const publish of batch.publishes) publish.uncertain(uncertain(stream, publish.ids, error), false);
    } else {
      this.#remove(batch);
      for (const publish of batch.publishes) publish.refused(error);
    }
  }

  // Called when no batch is in flight any more: after a delay, all unanswered batches are sent again, in order.
  #recover(): void {
    if (this.#retryTimer !== undefined || this.#closed) return;
    const first = this.#unanswered[0];
    if (first === undefined) return this.#recovered();
    const outOfSequence = kindOf(first.lastError) === "out-of-sequence";
    const delay = outOfSequence || this.#reachable ? 0 : backoff(RECONNECT, ++this.#failures);
    if (delay > 0) this.#options.retrying(first.lastError, delay);
    this.#retryTimer = setTimeout(() => {
      this.#retryTimer = undefined;
      this.expire();
      this.#recovering = false;
      const unanswered = [...this.#unanswered];
      // The store is asked about a batch that was given up before later batches are sent: their numbers depend on the reply.
      const upTo = unanswered.findIndex(({ state }) => state === "given-up");
      if (upTo === 0) this.#recovering = true;
      for (const batch of upTo === 0 ? unanswered.slice(0, 1) : unanswered) void this.#send(batch);
      this.#schedule();
    }, delay);
  }

  #recovered(): void {
    this.#recovering = false;
    this.#schedule();
  }

  /** Rejects publishes that have timed out. */
  expire(): void {
    this.#giveUp(performance.now(), timedOut, uncertain);
  }

  /** Rejects the publishes whose deadline is over: those that were not sent, and those whose outcome is unknown. */
  #giveUp(now: number, unsent: typeof timedOut | typeof closedBefore, unknown: typeof uncertain): void {
    const { stream } = this.#options;
    for (const batch of [...this.#unanswered]) {
      if (batch.deadline > now || batch.state === "given-up") continue;
      const inDoubt = batch.state === "in-flight" || batch.inDoubt;
      const error = batch.lastError;
      if (inDoubt) {
        batch.state = "given-up";
        this.#recovering = true;
        for (const publish of batch.publishes) publish.uncertain(unknown(stream, publish.ids, error), false);
      } else {
        this.#remove(batch);
        for (const publish of batch.publishes) publish.refused(unsent(stream, error));
      }
    }
    for (const batch of this.#moved.filter(({ deadline }) => deadline <= now)) {
      this.#moved.splice(this.#moved.indexOf(batch), 1);
      for (const publish of batch.publishes) publish.refused(unsent(stream, batch.lastError));
    }
    for (let next = this.#queue.peek(); next !== undefined && next.deadline <= now; next = this.#queue.peek()) {
      this.#queue.shift();
      this.#queued -= next.records.length;
      next.refused(unsent(stream, this.failure));
    }
    // No batch waits for the next try any more, so new publishes need not wait for it either.
    if (this.#unanswered.length === 0 && this.#retryTimer !== undefined) {
      clearTimeout(this.#retryTimer);
      this.#retryTimer = undefined;
      this.#recovered();
    }
  }

  /** Resolves when all batches are answered and no event is queued. */
  drained(): Promise<void> {
    return this.busy ? new Promise((resolve) => this.#onDrained.push(resolve)) : Promise.resolve();
  }

  /** Rejects all publishes, and accepts no more. */
  close(): void {
    this.#closed = true;
    this.#giveUp(Infinity, closedBefore, uncertainAtClose);
    clearTimeout(this.#retryTimer);
    this.#recovering = true;
  }
}

function isConflict(error: unknown): error is StoreError {
  return kindOf(error) === "conflict";
}

function kindOf(error: unknown): StoreErrorKind | undefined {
  return isInstance(error, StoreError) ? error.kind : undefined;
}
