import type { DomainEvent } from "../../events/mod.ts";
import { WakeUp } from "../../store/_wake_up.ts";
import type { EventStore, Position, ReadRange } from "../../store/mod.ts";
import { comparePositions } from "../../store/mod.ts";
import { checkKeys, checkNumber, checkSignal, show } from "../../events/_check.ts";
import type { EventCodec } from "../codec/_event_codec.ts";
import { byStream, OTHER_TYPE, type StreamCodec } from "../codec/_stream_codec.ts";
import { replaying } from "../_causation.ts";
import { layoutAt } from "../partitions/_layout.ts";
import type { StreamLayout } from "../partitions/_stream_layout.ts";
import { Turns } from "../partitions/_turns.ts";
import type { StreamLayouts } from "../partitions/_stream_layouts.ts";
import { positionOf } from "../_settings.ts";
import { eitherSignal, unlessAborted } from "../_store_retry.ts";
import { UndecodableError } from "../errors.ts";
import type { ReadOptions } from "../options.ts";
import { byPosition, interleave, merge, type Order } from "./_merge.ts";
import { load } from "../../store/_load.ts";

const KEYS = ["from", "after", "to", "subject", "fromRevision", "limit", "reverse", "follow", "signal"];

/** A range that a signal ends, at the latest when the broker closes. */
export interface EndedRange extends ReadRange {
  readonly signal: AbortSignal;
  /** The only subject to read. */
  readonly subject?: string;
  /** Its first revision. */
  readonly fromRevision?: number;
}

/**
 * Checks the options of `history` and `replay`, and puts them into the store's terms.
 *
 * @param closed Aborts when the broker has closed, which ends the reading.
 */
export function readRange(what: string, options: ReadOptions, closed: AbortSignal): EndedRange {
  checkKeys(what, options, KEYS);
  const { from, after, to, subject, fromRevision, limit, reverse, follow, signal } = options;
  checkSignal(signal);
  if (limit !== undefined) checkNumber("limit", limit, { min: 0, integer: true });
  if (follow && reverse) {
    throw new TypeError(
      `Cannot ${what} with both follow and reverse: there is no end to begin at; leave one of them out`,
    );
  }
  checkSubject(what, options);
  return {
    ...(from === undefined ? {} : { from: positionOf(from, "from", "low") }),
    ...(after === undefined ? {} : { after: positionOf(after, "after", "low") }),
    ...(to === undefined ? {} : { to: positionOf(to, "to", "high") }),
    ...(subject === undefined ? {} : { subject }),
    ...(fromRevision === undefined ? {} : { fromRevision }),
    ...(limit === undefined ? {} : { limit }),
    signal: eitherSignal(signal, closed),
    reverse: reverse === true,
    follow: follow === true,
  };
}

function checkSubject(what: string, { subject, fromRevision, follow }: ReadOptions): void {
  if (subject !== undefined && (typeof subject !== "string" || subject === "")) {
    throw new TypeError(`Cannot use ${show(subject)} as subject: give the subject of an event, a string`);
  }
  if (subject !== undefined && follow) {
    throw new TypeError(
      `Cannot ${what} with both subject and follow: follow all events, and choose those with the subject`,
    );
  }
  if (fromRevision === undefined) return;
  if (subject === undefined) {
    throw new TypeError(
      `Cannot ${what} with fromRevision and without subject: revisions are those of a subject; add it`,
    );
  }
  checkNumber("fromRevision", fromRevision, { min: 1, integer: true });
}

/** The position of the last entry of a stream; undefined when the stream is empty. */
export function lastPosition(store: EventStore, stream: string, signal: AbortSignal): Promise<Position | undefined> {
  return unlessAborted(readLast(store, stream, signal), signal);
}

async function readLast(store: EventStore, stream: string, signal: AbortSignal): Promise<Position | undefined> {
  for await (const [newest] of store.read(stream, { reverse: true, limit: 1, signal })) return newest?.position;
  return undefined;
}

/** Events of streams up to the time of this call, merged by position; with `follow` also new events, as they come. */
export function readEvents<E extends DomainEvent>(
  store: EventStore,
  layouts: StreamLayouts,
  classes: readonly EventCodec<E>[],
  range: EndedRange,
): AsyncGenerator<E, void, void> {
  const codecs = byStream(classes);
  if (range.subject !== undefined) return readOfSubject(store, layouts, codecs, range.subject, range);
  const known = codecs.flatMap(({ stream }) => layouts.of(stream) ?? []);
  if (known.length === 0) return readStreams(store, codecs, range);
  const partsOf = (codec: StreamCodec<E>) => layouts.of(codec.stream)?.codecsOf(codec) ?? [codec];
  // A stream that gets more partitions while it is followed.
  const grown = (add: (codec: StreamCodec<E>) => void, signal: AbortSignal) => {
    for (const codec of codecs) {
      const read = new Set(partsOf(codec).map(({ stream }) => stream));
      layouts.of(codec.stream)?.watch(() => {
        for (const part of partsOf(codec)) if (!read.has(part.stream)) add(part);
        for (const { stream } of partsOf(codec)) read.add(stream);
      }, signal);
    }
  };
  // The reading begins now, not when the caller pulls the first event: it ends at the newest event of this moment.
  const turns = new Map(known.map((layout) => [layout.stream, new Turns(store, layout, range)]));
  const turnsOf = ({ logical }: StreamCodec<E>) => turns.get(logical);
  const reading = Promise.all(known.map((layout) => layout.check()))
    .then(() => readStreams(store, codecs.flatMap(partsOf), range, { grown, turnsOf, order: orderOf(known) }));
  // The caller may never pull an event; if it does, the pull reports the failure.
  reading.catch(() => {});
  return fromPromise(reading, range.signal);
}

/**
 * The order of events in streams, some of which have these layouts. After the number of partitions has changed, the events
 * from before come first: they are older, also where the clock of another server says something else.
 */
function orderOf(layouts: readonly StreamLayout[]): (streams: readonly string[]) => Order {
  const changed = layouts.filter(({ layouts }) => layouts.length > 1);
  if (changed.length !== 1 || layouts.length !== 1) return () => byPosition;
  const [layout] = changed as [StreamLayout];
  return (streams) => {
    const layoutOf = (event: DomainEvent, nth: number) => layoutAt(layout.layouts, streams[nth]!, event.position!).id;
    return (a, b, nth, other) => layoutOf(a, nth) - layoutOf(b, other) || byPosition(a, b, nth, other);
  };
}

/** Events of one subject, by the index of the store. */
function readOfSubject<E extends DomainEvent>(
  store: EventStore,
  layouts: StreamLayouts,
  codecs: readonly StreamCodec<E>[],
  subject: string,
  range: EndedRange,
): AsyncGenerator<E, void, void> {
  for (const { stream } of codecs) layouts.assertRevisions("read one subject", stream);
  if (range.fromRevision !== undefined && codecs.length > 1) {
    const streams = codecs.map(({ stream }) => stream).join(", ");
    throw new TypeError(
      `Cannot read from a revision of ${
        show(subject)
      } in several streams (${streams}): each has its own revisions; read ` +
        `one after the other`,
    );
  }
  const sources = codecs.map((codec) => ({ codec, layout: layouts.of(codec.stream)! }));
  const reading = load(() => import("./_subject_history.ts")).then(({ readSubject }) =>
    readSubject(store, subject, sources, range)
  );
  reading.catch(() => {});
  return fromPromise(reading, range.signal);
}

async function* fromPromise<E>(
  reading: Promise<AsyncGenerator<E, void, void>>,
  signal: AbortSignal,
): AsyncGenerator<E, void, void> {
  yield* await unlessAborted(reading, signal);
}

/** How streams are read whose partitions may change. */
interface Partitioned<E extends DomainEvent> {
  /** Calls back, until the signal aborts, with streams that have come since. */
  grown(add: (codec: StreamCodec<E>) => void, signal: AbortSignal): void;
  /** The turns of the streams that are followed with this one. */
  turnsOf(codec: StreamCodec<E>): Turns | undefined;
  /** The order of events in these streams. */
  order(streams: readonly string[]): Order;
}

/** Events of streams, each of them in order. */
function readStreams<E extends DomainEvent>(
  store: EventStore,
  codecs: readonly StreamCodec<E>[],
  range: EndedRange,
  partitioned?: Partitioned<E>,
): AsyncGenerator<E, void, void> {
  const ends = range.follow ? undefined : codecs.map(({ stream }) => lastPosition(store, stream, range.signal));
  // The caller may never pull an event; if it does, the pull reports that the end could not be looked up.
  for (const end of ends ?? []) end.catch(() => {});
  const isOne = codecs.length === 1 && (partitioned === undefined || !range.follow);
  if (isOne) return readStream(store, codecs[0]!, range, ends?.[0]);
  // Ends the reads of all streams when the caller has enough or one of them fails: the others may be waiting.
  const left = new AbortController();
  const each = { ...range, signal: eitherSignal(range.signal, left.signal) };
  const turnsOf = (codec: StreamCodec<E>) => range.follow ? partitioned?.turnsOf(codec) : undefined;
  const streams = codecs.map((codec, index) => readStream(store, codec, each, ends?.[index], turnsOf(codec)));
  if (!range.follow) return merge(streams, range, left, partitioned?.order(codecs.map(({ stream }) => stream)));
  const more: AsyncGenerator<E, void, void>[] = [];
  const come = new WakeUp();
  partitioned?.grown((codec) => {
    more.push(readStream(store, codec, each, undefined, turnsOf(codec)));
    come.wake();
  }, each.signal);
  return interleave(streams, { more, come }, range, left);
}

async function* readStream<E extends DomainEvent>(
  store: EventStore,
  codec: StreamCodec<E>,
  { limit = Infinity, ...range }: EndedRange,
  end: Promise<Position | undefined> | undefined,
  turns?: Turns,
): AsyncGenerator<E, void, void> {
  const { signal } = range;
  signal.throwIfAborted();
  if (limit === 0) return;
  let given = 0;
  if (end !== undefined) {
    const last = await end;
    if (last === undefined) return;
    range = { ...range, to: range.to !== undefined && comparePositions(range.to, last) < 0 ? range.to : last };
  }
  try {
    // Entries of other types do not count: only where there are none, the store need not read more than the limit.
    const most = codec.groupTypes === undefined && limit !== Infinity ? { ...range, limit } : range;
    for await (const page of store.read(codec.stream, most)) {
      for (const record of page) {
        const decoded = codec.decode(codec.typeOf(record.fields), record);
        if (decoded === OTHER_TYPE) {
          turns?.passed(codec.stream, record.position);
          continue;
        }
        const event = decoded instanceof Promise ? await unlessAborted(decoded, signal) : decoded;
        if (event instanceof UndecodableError) throw event;
        const turn = turns?.of(codec.stream, record.position, signal);
        if (turn !== undefined) await turn;
        signal.throwIfAborted();
        yield event;
        signal.throwIfAborted();
        turns?.passed(codec.stream, record.position);
        if (++given === limit) return;
      }
    }
  } catch (error) {
    // A store that closes may end the read before it notices the signal: the signal's reason is the cause.
    signal.throwIfAborted();
    throw error;
  }
}

/** Calls the handler with each event, one at a time; resolves with the number of events. */
export async function replayEvents<E extends DomainEvent>(
  events: AsyncIterable<E>,
  handler: (event: E) => unknown,
): Promise<number> {
  let count = 0;
  for await (const event of events) {
    await replaying(event, handler as (event: DomainEvent) => unknown);
    count++;
  }
  return count;
}
