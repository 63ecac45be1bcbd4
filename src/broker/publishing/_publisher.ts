import type { DomainEvent } from "../../events/mod.ts";
import type { EventStore, Fields, Position } from "../../store/mod.ts";
import { noteCause } from "../_causation.ts";
import { Lane, MAX_BATCH, MAX_BATCH_BYTES, uncertain } from "./_stream_publisher.ts";
import { Outgoing, type OutgoingOwner } from "./_outgoing.ts";
import type { PublishQueue } from "./_publish_queue.ts";
import { sleep } from "../_store_retry.ts";
import { Publications } from "./_publications.ts";
import { type Call, Preparations } from "./_preparations.ts";
import { PublishError } from "../errors.ts";

// What is larger would hold up everything behind it: it belongs elsewhere, and a reference to it in the event.
const MAX_EVENT_BYTES = 16 * 2 ** 20;

/** What a publisher goes by. */
export interface PublisherOptions {
  readonly store: EventStore;
  readonly publishTimeout: number;
  readonly queue: PublishQueue;
  streamOf(event: DomainEvent): string;
  /** Whether some class has events that may have to wait for their payload. */
  readonly prepares: boolean;
  /** The payload of an event that has to wait for it. */
  prepare(event: DomainEvent): Promise<string> | undefined;
  /** The payload of any other. */
  payload(event: DomainEvent): string;
  encode(event: DomainEvent, payload?: string): Fields;
  retrying(error: unknown, delay: number): void;
  appended(stream: string, count: number): void;
}

/** What was prepared of events before their turn came, and until when they may wait. */
interface Prepared {
  readonly payloads: ReadonlyMap<DomainEvent, string>;
  readonly deadline: number;
}

/** Events of one stream, encoded and measured. */
interface Pack {
  readonly stream: string;
  readonly events: readonly DomainEvent[];
  readonly records: readonly Fields[];
  readonly bytes: number;
  readonly deadline: number;
}

/** Sends events on their way, one lane for each stream. */
export class Publisher {
  #options: PublisherOptions;
  #producer = crypto.randomUUID();
  #lanes = new Map<string, Lane>();
  #preparations = new Preparations();
  #owner: OutgoingOwner = {
    known: ({ records, bytes }) => this.#options.queue.leave(records.length, bytes),
    refused: (outgoing) => {
      for (const event of outgoing.events) if (this.#sent.get(event) === outgoing) this.#sent.delete(event);
    },
  };
  /** What was given to this broker and is stored, or may be. */
  #sent = new Publications(this.#owner);
  #watch: ReturnType<typeof setTimeout> | undefined;
  #time: number | undefined;
  #closed = new AbortController();

  constructor(options: PublisherOptions) {
    this.#options = options;
  }

  /** Publishes one event, or finds out what became of it. */
  publish(event: DomainEvent, signal: AbortSignal | undefined): Promise<Position> {
    if (this.#sent.get(event) !== undefined) return this.#findOrPublish(event, signal);
    signal?.throwIfAborted();
    noteCause([event]);
    const stream = this.#options.streamOf(event);
    const inTurn = this.#options.prepares ? this.#inTurn([event], [stream], signal) : undefined;
    if (inTurn !== undefined) return inTurn.then(([position]) => position!);
    const pack = this.#pack(stream, [event]);
    this.#options.queue.assertRoom(pack.stream, 1, pack.bytes);
    const outgoing = this.#send(pack, true);
    return signal === undefined ? outgoing.position : unlessAborted(outgoing, outgoing.position, signal);
  }

  async #findOrPublish(event: DomainEvent, signal: AbortSignal | undefined): Promise<Position> {
    signal?.throwIfAborted();
    // Not stored, so it is forgotten, unless somebody else who waited for that has sent it again meanwhile.
    for (let earlier = this.#sent.get(event); earlier !== undefined; earlier = this.#sent.get(event)) {
      const positions = await this.#find(earlier, signal);
      if (positions !== undefined) return positions[earlier.events.indexOf(event)]!;
    }
    return await this.publish(event, signal);
  }

  /** Publishes events, those of one stream together or not at all. */
  async publishAll(events: readonly DomainEvent[], signal: AbortSignal | undefined): Promise<Position[]> {
    signal?.throwIfAborted();
    if (new Set(events).size !== events.length) {
      throw new TypeError("Cannot publish the array: it holds the same event object twice");
    }
    noteCause(events);
    if (this.#options.prepares) {
      const streams = new Set(events.map((event) => this.#options.streamOf(event)));
      const inTurn = this.#inTurn(events, [...streams], signal);
      if (inTurn !== undefined) return await inTurn;
    }
    return await this.#publishParts(events, signal);
  }

  /** Publishes once all is prepared and what came before is on its way; undefined when that is so already. */
  #inTurn(
    events: readonly DomainEvent[],
    streams: readonly string[],
    signal: AbortSignal | undefined,
  ): Promise<Position[]> | undefined {
    const payloads = events.map((event) => this.#options.prepare(event));
    const waits = payloads.some((payload) => payload !== undefined) ||
      streams.some((stream) => this.#preparations.holds(stream));
    if (!waits) return undefined;
    const prepared = Promise.all(
      events.map(async (event, nth) => await (payloads[nth] ?? this.#options.payload(event))),
    );
    // Also when there is no room, and nobody waits for it.
    prepared.catch(() => {});
    return this.#publishPrepared(events, prepared, { streams, signal, deadline: this.#deadline() });
  }

  async #publishPrepared(
    events: readonly DomainEvent[],
    prepared: Promise<readonly string[]>,
    call: Call,
  ): Promise<Position[]> {
    const { queue } = this.#options;
    // How many bytes it will be is not known yet: that is looked at when its turn comes.
    queue.assertRoom(call.streams.join(", "), events.length, 0);
    queue.enter(events.length, 0);
    let left = false;
    const leave = () => {
      if (!left) queue.leave(events.length, 0);
      left = true;
    };
    this.#keepWatch();
    try {
      return await this.#preparations.inTurn(call, prepared, (payloads) => {
        leave();
        const byEvent = new Map(events.map((event, nth) => [event, payloads[nth]!]));
        return this.#publishParts(events, call.signal, { payloads: byEvent, deadline: call.deadline });
      });
    } finally {
      leave();
    }
  }

  async #publishParts(
    events: readonly DomainEvent[],
    signal: AbortSignal | undefined,
    prepared?: Prepared,
  ): Promise<Position[]> {
    const parts = new Map<string, number[]>();
    for (const [index, event] of events.entries()) {
      const stream = this.#options.streamOf(event);
      const part = parts.get(stream);
      if (part === undefined) parts.set(stream, [index]);
      else part.push(index);
    }
    const positions: (Position | undefined)[] = events.map(() => undefined);
    const errors: unknown[] = [];
    // All that goes out for the first time is encoded and measured before any of it goes.
    const packed = [...parts].map(([stream, part]) => {
      const all = part.map((index) => events[index]!);
      return {
        part,
        all,
        fresh: this.#pack(stream, all.filter((event) => this.#sent.get(event) === undefined), prepared),
      };
    });
    let [count, bytes] = [0, 0];
    for (const { fresh } of packed) [count, bytes] = [count + fresh.events.length, bytes + fresh.bytes];
    if (count > 0) this.#options.queue.assertRoom([...parts.keys()].join(", "), count, bytes);
    const publishPart = async ({ part, all, fresh }: typeof packed[number]) => {
      const found = await this.#sendOrFind(all, fresh, signal, prepared);
      part.forEach((index, nth) => positions[index] = found[nth]!);
    };
    await Promise.all(packed.map((it) => publishPart(it).catch((error) => errors.push(error))));
    if (errors.length === 0) return positions as Position[];
    if (parts.size === 1) throw errors[0];
    throw new PublishError(
      errors,
      `Cannot publish to ${errors.length} of ${parts.size} streams: see errors, and positions for what was stored`,
      positions,
    );
  }

  async #sendOrFind(
    events: readonly DomainEvent[],
    fresh: Pack,
    signal: AbortSignal | undefined,
    prepared: Prepared | undefined,
  ): Promise<readonly Position[]> {
    if (fresh.events.length === events.length) return await this.#sendAll(fresh, signal);
    // Published before, alone or in an array: each finds its own answer, and only what is not stored goes out again.
    for (const event of events) {
      const earlier = this.#sent.get(event);
      if (earlier !== undefined) await this.#find(earlier, signal);
    }
    const missing = events.filter((event) => this.#sent.get(event) === undefined);
    if (missing.length > 0) {
      const pack = this.#pack(fresh.stream, missing, prepared);
      this.#options.queue.assertRoom(pack.stream, missing.length, pack.bytes);
      await this.#sendAll(pack, signal);
    }
    return await Promise.all(events.map((event) => this.publish(event, signal)));
  }

  /** What became of events that were published before: their positions, or undefined if they were not stored. */
  async #find(outgoing: Outgoing, signal: AbortSignal | undefined): Promise<readonly Position[] | undefined> {
    if (outgoing.truth === undefined) {
      const found = new AbortController();
      outgoing.whenKnown(() => found.abort());
      const ended = AbortSignal.any([found.signal, this.#closed.signal, ...(signal === undefined ? [] : [signal])]);
      await sleep(this.#options.publishTimeout, ended);
      signal?.throwIfAborted();
    }
    const { truth } = outgoing;
    if (truth === undefined) {
      const stream = this.#options.streamOf(outgoing.events[0]!);
      throw uncertain(stream, this.lane(stream).failure);
    }
    if (truth === "refused") return undefined;
    if ("error" in truth) throw truth.error;
    return truth;
  }

  #pack(stream: string, events: readonly DomainEvent[], prepared?: Prepared): Pack {
    const records = events.map((event) => this.#options.encode(event, prepared?.payloads.get(event)));
    const bytes = sizeOf(records);
    checkSize(stream, events.length, bytes);
    return { stream, events, records, bytes, deadline: prepared?.deadline ?? this.#deadline() };
  }

  async #sendAll(pack: Pack, signal: AbortSignal | undefined): Promise<readonly Position[]> {
    const outgoing = this.#send(pack, false);
    if (signal === undefined) return await outgoing.positions;
    return await unlessAborted(outgoing, outgoing.positions, signal);
  }

  #send({ stream, events, records, bytes, deadline }: Pack, single: boolean): Outgoing {
    const outgoing = new Outgoing(this.#owner, events, records, bytes, deadline, single);
    this.#options.queue.enter(records.length, bytes);
    for (const event of events) this.#sent.set(event, outgoing);
    this.lane(stream).push(outgoing);
    this.#keepWatch();
    return outgoing;
  }

  // Once for all that is published in one go: asking costs more than all else that is noted of an event.
  #deadline(): number {
    if (this.#time === undefined) {
      this.#time = performance.now();
      queueMicrotask(() => this.#time = undefined);
    }
    return this.#time + this.#options.publishTimeout;
  }

  /** The way into a stream. */
  lane(stream: string): Lane {
    let lane = this.#lanes.get(stream);
    if (lane === undefined) {
      const { store, retrying, appended } = this.#options;
      const producer = this.#producer;
      lane = new Lane({ store, stream, producer, retrying, appended: (count) => appended(stream, count) });
      this.#lanes.set(stream, lane);
    }
    return lane;
  }

  // One timer for all that is under way, and none while nothing is: a timer for each event would cost more than it.
  #keepWatch(): void {
    if (this.#watch !== undefined) return;
    const period = Math.max(10, Math.min(1_000, this.#options.publishTimeout / 10));
    this.#watch = setTimeout(() => {
      this.#watch = undefined;
      const busy = [...this.#lanes.values()].filter((lane) => lane.busy);
      for (const lane of busy) lane.expire();
      this.#preparations.expire();
      if (busy.length > 0 || this.#preparations.busy) this.#keepWatch();
    }, period);
  }

  /** Waits for what is under way, at most until `signal` aborts; then whatever has no answer is given up. */
  async close(signal: AbortSignal): Promise<void> {
    const drained = new AbortController();
    const ended = AbortSignal.any([signal, drained.signal]);
    void this.#preparations.drained()
      .then(() => Promise.all([...this.#lanes.values()].map((lane) => lane.drained())))
      .then(() => drained.abort());
    await sleep(Infinity, ended);
    this.#preparations.close();
    clearTimeout(this.#watch);
    this.#closed.abort();
    for (const lane of this.#lanes.values()) lane.close();
  }
}

async function unlessAborted<T>(outgoing: Outgoing, answer: Promise<T>, signal: AbortSignal): Promise<T> {
  const withdraw = () => outgoing.withdraw(signal.reason);
  signal.addEventListener("abort", withdraw);
  try {
    return await answer;
  } finally {
    signal.removeEventListener("abort", withdraw);
  }
}

function sizeOf(records: readonly Fields[]): number {
  let size = 0;
  for (const fields of records) for (const field of fields) size += field.length;
  return size;
}

function checkSize(stream: string, count: number, bytes: number): void {
  if (count > MAX_BATCH) {
    throw new RangeError(`Cannot publish ${count} events to ${stream} at once: at most ${MAX_BATCH} go together`);
  }
  const most = count === 1 ? MAX_EVENT_BYTES : MAX_BATCH_BYTES;
  if (bytes > most) {
    throw new RangeError(
      count === 1
        ? `Cannot publish an event of ${bytes} bytes to ${stream}: at most ${most}; store it elsewhere and publish where`
        : `Cannot publish ${bytes} bytes to ${stream} at once: at most ${most} go together; publish smaller arrays`,
    );
  }
}
