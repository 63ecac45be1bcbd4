import type { DomainEvent } from "../../events/mod.ts";
import type { Position, When } from "../../store/mod.ts";
import { noteCause } from "../_causation.ts";
import { settledWithin, sleep } from "../_store_retry.ts";
import type { EventCodecs } from "../codec/_event_codecs.ts";
import { PublishError } from "../errors.ts";
import { encodeAll, type Encoded } from "./_encoded.ts";
import { assertOneStream, type ExpectedRevision } from "./_expected_revision.ts";
import { type Call, Preparations } from "./_preparations.ts";
import { Publication, type PublicationOwner, Publications } from "./_publication.ts";
import { uncertain, uncertainAtClose } from "./_publish_errors.ts";
import type { PublishQueue } from "./_publish_queue.ts";
import { StreamPublishers, type StreamPublishersOptions } from "./_stream_publishers.ts";

// How many streams an error names at most.
const MAX_NAMED = 8;

/** How a publisher works. */
export interface PublisherOptions extends StreamPublishersOptions {
  readonly codecs: EventCodecs;
  /** How long a publish may take, in milliseconds. */
  readonly publishTimeout: number;
  readonly queue: PublishQueue;
}

/** How to publish the events of a call. */
interface Terms {
  /** The revision that a subject must have. */
  readonly expected?: ExpectedRevision | undefined;
  /** When the events are due; by default they are stored at once. */
  readonly when?: When | undefined;
  /** The prepared payloads, if the events were prepared. */
  readonly payloads?: ReadonlyMap<DomainEvent, string>;
  /** When the call times out, by `performance.now()`; by default `publishTimeout` from now. */
  readonly deadline?: number;
}

/** The events of an array that belong to one stream. */
interface Part {
  readonly stream: string;
  /** Their indexes in the array. */
  readonly indexes: readonly number[];
  readonly events: readonly DomainEvent[];
  /** The events that are published for the first time, encoded. */
  readonly fresh: Encoded;
}

/** Publishes events: prepares and encodes them, looks up those that were published before, and queues the rest by stream. */
export class Publisher {
  #options: PublisherOptions;
  #codecs: EventCodecs;
  /** Whether a class has events that may have to be prepared before they are queued. */
  #prepares: boolean;
  #streams: StreamPublishers;
  #preparations = new Preparations();
  #owner: PublicationOwner = {
    known: ({ records, bytes }) => this.#options.queue.leave(records.length, bytes),
    refused: (publication) => {
      for (const event of publication.events) if (this.#sent.get(event) === publication) this.#sent.delete(event);
    },
  };
  /** Publications of events that are stored, or may be stored. */
  #sent = new Publications(this.#owner);
  #watch: ReturnType<typeof setTimeout> | undefined;
  #time: number | undefined;

  constructor(options: PublisherOptions) {
    this.#options = options;
    this.#codecs = options.codecs;
    this.#streams = new StreamPublishers(options);
    this.#prepares = [...options.codecs].some((codec) => codec.prepares);
  }

  /** The stream in the store for an event: that of its partition. */
  #streamOf(event: DomainEvent): string {
    return this.#streams.streamOf(this.#codecs.ofEvent(event).stream, event.subject);
  }

  /** The stream whose publishes wait for each other's preparation: all partitions together, since their number may change. */
  #orderedBy(event: DomainEvent): string {
    return this.#codecs.ofEvent(event).stream;
  }

  /** Publishes one event. If it was published before, its outcome is looked up; it is sent again only if it was refused. */
  publish(event: DomainEvent, signal: AbortSignal | undefined): Promise<Position> {
    if (this.#sent.get(event) !== undefined) return this.#findOrPublish(event, signal);
    signal?.throwIfAborted();
    noteCause([event]);
    const stream = this.#streamOf(event);
    const inTurn = this.#prepares ? this.#inTurn([event], [this.#orderedBy(event)], signal) : undefined;
    if (inTurn !== undefined) return inTurn.then(([position]) => position!);
    const encoded = this.#encode(stream, [event]);
    this.#options.queue.assertRoom(stream, 1, encoded.bytes);
    const publication = this.#send(encoded, true);
    return signal === undefined ? publication.position : withdrawnOnAbort(publication, publication.position, signal);
  }

  async #findOrPublish(event: DomainEvent, signal: AbortSignal | undefined): Promise<Position> {
    signal?.throwIfAborted();
    // A refused event has no publication any more, unless a concurrent call has published it again.
    for (let earlier = this.#sent.get(event); earlier !== undefined; earlier = this.#sent.get(event)) {
      assertSameKind([earlier], false);
      const positions = await this.#find(earlier, signal);
      if (positions !== undefined) return positions[earlier.events.indexOf(event)]!;
    }
    return await this.publish(event, signal);
  }

  /** Publishes events, those of one stream together or not at all. */
  async publishAll(events: readonly DomainEvent[], signal: AbortSignal | undefined): Promise<Position[]> {
    signal?.throwIfAborted();
    assertDistinct(events);
    noteCause(events);
    return await this.#publishNew(events, signal, {});
  }

  /** Publishes events of streams with revisions together, if a subject has the expected revision then. */
  async publishExpected(
    events: readonly DomainEvent[],
    expected: ExpectedRevision,
    signal: AbortSignal | undefined,
  ): Promise<readonly Position[]> {
    signal?.throwIfAborted();
    assertDistinct(events);
    assertOneStream(events, expected, (event) => this.#streamOf(event));
    for (let earlier = this.#earlier(events); earlier !== undefined; earlier = this.#earlier(events)) {
      const positions = await this.#find(earlier, signal);
      if (positions !== undefined) return positions;
    }
    noteCause(events);
    return await this.#publishNew(events, signal, { expected });
  }

  /** Schedules events of one stream, those of one partition together or not at all. Their `scheduledFor` tells the time. */
  async publishScheduled(
    events: readonly DomainEvent[],
    when: When,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    signal?.throwIfAborted();
    assertDistinct(events);
    const earlier = new Set(events.flatMap((event) => this.#sent.get(event) ?? []));
    assertSameKind([...earlier], true);
    for (const publication of earlier) await this.#find(publication, signal);
    const missing = events.filter((event) => this.#sent.get(event) === undefined);
    noteCause(missing);
    if (missing.length > 0) await this.#publishNew(missing, signal, { when });
  }

  /** The publication of an earlier call with these events; undefined if they are new. */
  #earlier(events: readonly DomainEvent[]): Publication | undefined {
    const [earlier, ...others] = new Set(events.map((event) => this.#sent.get(event)));
    if (earlier !== undefined) assertSameKind([earlier], false);
    const same = earlier === undefined || earlier.events.every((event, nth) => event === events[nth]);
    if (others.length === 0 && same) return earlier;
    throw new TypeError(
      "Cannot publish with an expected revision: some of the events were published before, by other calls; publish only " +
        "new events, or exactly those of one earlier call",
    );
  }

  async #publishNew(
    events: readonly DomainEvent[],
    signal: AbortSignal | undefined,
    terms: Terms,
  ): Promise<Position[]> {
    if (this.#prepares) {
      const streams = new Set(events.map((event) => this.#orderedBy(event)));
      const inTurn = this.#inTurn(events, [...streams], signal, terms);
      if (inTurn !== undefined) return await inTurn;
    }
    return await this.#publishParts(events, signal, terms);
  }

  /** Publishes once the events are prepared and earlier calls are queued; undefined if the call need not wait for either. */
  #inTurn(
    events: readonly DomainEvent[],
    streams: readonly string[],
    signal: AbortSignal | undefined,
    terms: Terms = {},
  ): Promise<Position[]> | undefined {
    const payloads = events.map((event) => this.#codecs.ofEvent(event).prepare(event));
    const waits = payloads.some((payload) => payload !== undefined) ||
      streams.some((stream) => this.#preparations.holds(stream));
    if (!waits) return undefined;
    const prepared = Promise.all(
      events.map(async (event, nth) => await (payloads[nth] ?? this.#codecs.ofEvent(event).payload(event))),
    );
    // Nothing awaits it if the queue is full: its rejection must not be unhandled.
    prepared.catch(() => {});
    return this.#publishPrepared(events, prepared, { streams, signal, deadline: this.#deadline() }, terms);
  }

  async #publishPrepared(
    events: readonly DomainEvent[],
    prepared: Promise<readonly string[]>,
    call: Call,
    terms: Terms,
  ): Promise<Position[]> {
    const { queue } = this.#options;
    // The size in bytes is not known yet, and is checked at the call's turn.
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
        // The number of partitions may have changed.
        if (terms.expected !== undefined) assertOneStream(events, terms.expected, (event) => this.#streamOf(event));
        return this.#publishParts(events, call.signal, { ...terms, payloads: byEvent, deadline: call.deadline });
      });
    } finally {
      leave();
    }
  }

  async #publishParts(
    events: readonly DomainEvent[],
    signal: AbortSignal | undefined,
    terms: Terms,
  ): Promise<Position[]> {
    // All new events are encoded and measured before any of them is sent.
    const parts = this.#partsOf(events, terms);
    let [count, bytes] = [0, 0];
    for (const { fresh } of parts) [count, bytes] = [count + fresh.events.length, bytes + fresh.bytes];
    const streams = parts.map(({ stream }) => stream).join(", ");
    if (count > 0) this.#options.queue.assertRoom(streams, count, bytes);
    const positions: (Position | undefined)[] = events.map(() => undefined);
    const errors: unknown[] = [];
    const failed: string[] = [];
    const publishPart = async (part: Part) => {
      const found = await this.#sendOrFind(part, signal, terms);
      part.indexes.forEach((index, nth) => positions[index] = found[nth]!);
    };
    const failedIn = (part: Part) => (error: unknown) => {
      errors.push(error);
      failed.push(part.stream);
    };
    await Promise.all(parts.map((part) => publishPart(part).catch(failedIn(part))));
    if (errors.length === 0) return positions as Position[];
    // One reason for all, such as other partitions than in the store: then nothing was stored.
    if (errors.length === parts.length && errors.every((error) => error === errors[0])) throw errors[0];
    const named = `${failed.slice(0, MAX_NAMED).join(", ")}${failed.length > MAX_NAMED ? ", …" : ""}`;
    throw new PublishError(
      errors,
      `Cannot publish to ${errors.length} of ${parts.length} streams (${named}): errors has the reasons; positions tells which ` +
        `events were stored`,
      positions,
    );
  }

  #partsOf(events: readonly DomainEvent[], terms: Terms): Part[] {
    const indexes = Map.groupBy(events.keys(), (index) => this.#streamOf(events[index]!));
    return [...indexes].map(([stream, part]) => {
      const ofStream = part.map((index) => events[index]!);
      const fresh = ofStream.filter((event) => this.#sent.get(event) === undefined);
      return { stream, indexes: part, events: ofStream, fresh: this.#encode(stream, fresh, terms) };
    });
  }

  async #sendOrFind(
    { stream, events, fresh }: Part,
    signal: AbortSignal | undefined,
    terms: Terms,
  ): Promise<readonly Position[]> {
    if (fresh.events.length === events.length) return await this.#sendAll(fresh, signal);
    assertSameKind(events.flatMap((event) => this.#sent.get(event) ?? []), terms.when !== undefined);
    // Some events were published before. They are looked up, and only the events that are not stored are sent.
    for (const event of events) {
      const earlier = this.#sent.get(event);
      if (earlier !== undefined) await this.#find(earlier, signal);
    }
    const missing = events.filter((event) => this.#sent.get(event) === undefined);
    if (missing.length > 0) {
      const encoded = this.#encode(stream, missing, terms);
      this.#options.queue.assertRoom(stream, missing.length, encoded.bytes);
      await this.#sendAll(encoded, signal);
    }
    if (terms.when !== undefined) return [];
    return await Promise.all(events.map((event) => this.publish(event, signal)));
  }

  /** The positions of events that were published before; undefined if the store refused the events. */
  async #find(publication: Publication, signal: AbortSignal | undefined): Promise<readonly Position[] | undefined> {
    if (publication.outcome === undefined) {
      const found = new AbortController();
      publication.whenKnown(() => found.abort());
      const ended = AbortSignal.any([found.signal, this.#streams.closed, ...(signal === undefined ? [] : [signal])]);
      await sleep(this.#options.publishTimeout, ended);
      signal?.throwIfAborted();
    }
    const { outcome } = publication;
    if (outcome === undefined) {
      const stream = this.#streamOf(publication.events[0]!);
      const error = this.#streams.closed.aborted ? uncertainAtClose : uncertain;
      throw error(stream, publication.ids, this.#streams.of(stream).failure);
    }
    if (outcome === "refused") return undefined;
    if ("error" in outcome) throw outcome.error;
    return outcome;
  }

  #encode(
    stream: string,
    events: readonly DomainEvent[],
    { expected, when, payloads, deadline }: Terms = {},
  ): Encoded {
    const encode = (event: DomainEvent) => this.#codecs.ofEvent(event).encode(event, payloads?.get(event));
    return encodeAll(stream, events, { deadline: deadline ?? this.#deadline(), expected, when, encode });
  }

  async #sendAll(encoded: Encoded, signal: AbortSignal | undefined): Promise<readonly Position[]> {
    const publication = this.#send(encoded, false);
    if (signal === undefined) return await publication.positions;
    return await withdrawnOnAbort(publication, publication.positions, signal);
  }

  #send(encoded: Encoded, single: boolean): Publication {
    const publication = new Publication(this.#owner, encoded, single);
    this.#options.queue.enter(encoded.records.length, encoded.bytes);
    for (const event of encoded.events) this.#sent.set(event, publication);
    this.#streams.get(encoded.stream).push(publication);
    this.#keepWatch();
    return publication;
  }

  // The clock is read once for all events that are published in one turn, since reading it is slow.
  #deadline(): number {
    if (this.#time === undefined) {
      this.#time = performance.now();
      queueMicrotask(() => this.#time = undefined);
    }
    return this.#time + this.#options.publishTimeout;
  }

  /** Sends nothing to a stream until the promise has settled. */
  holdUntil(stream: string, ready: Promise<unknown>): void {
    void this.#streams.of(stream).holdUntil(ready);
  }

  // One timer for all publishes that wait: a timer for each event would cost more than to publish it.
  #keepWatch(): void {
    if (this.#watch !== undefined || this.#streams.closed.aborted) return;
    const period = Math.max(10, Math.min(1_000, this.#options.publishTimeout / 10));
    this.#watch = setTimeout(() => {
      this.#watch = undefined;
      const isBusy = this.#streams.expire();
      this.#preparations.expire();
      if (isBusy || this.#preparations.busy) this.#keepWatch();
    }, period);
  }

  /** Waits for replies to all publishes, at most `timeout` milliseconds. Publishes without a reply then reject. */
  async close(timeout: number): Promise<void> {
    await settledWithin(this.#preparations.drained().then(() => this.#streams.drained()), timeout);
    this.#preparations.close();
    clearTimeout(this.#watch);
    this.#streams.close();
  }
}

/** Throws a TypeError if an event is stored at once in one call and later in another. */
function assertSameKind(earlier: readonly Publication[], scheduled: boolean): void {
  const other = earlier.find(({ when }) => (when !== undefined) !== scheduled);
  if (other === undefined) return;
  const [before, wayOut] = scheduled
    ? ["published", "publish a new event"]
    : ["scheduled", "call reschedule, or publish a new event"];
  throw new TypeError(`Cannot publish event ${other.ids[0]} again: it was ${before} by an earlier call; ${wayOut}`);
}

function assertDistinct(events: readonly DomainEvent[]): void {
  if (new Set(events).size === events.length) return;
  throw new TypeError("Cannot publish the array: it holds the same event object twice; publish each object once");
}

async function withdrawnOnAbort<T>(publication: Publication, answer: Promise<T>, signal: AbortSignal): Promise<T> {
  const withdraw = () => publication.withdraw(signal.reason);
  signal.addEventListener("abort", withdraw);
  try {
    return await answer;
  } finally {
    signal.removeEventListener("abort", withdraw);
  }
}
