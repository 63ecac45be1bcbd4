import type { DomainEvent } from "../../events/mod.ts";
import { WakeUp } from "../../store/_wake_up.ts";
import type { EventStore, Position, ReadRange } from "../../store/mod.ts";
import { comparePositions } from "../../store/mod.ts";
import { checkKeys, checkNumber, checkSignal } from "../../events/_check.ts";
import type { EventCodec } from "../codec/_event_codec.ts";
import { byStream, OTHER_TYPE, type StreamCodec } from "../codec/_stream_codec.ts";
import { replaying } from "../_causation.ts";
import type { StreamLayouts } from "../partitions/_stream_layouts.ts";
import { positionOf } from "../_settings.ts";
import { eitherSignal, unlessAborted } from "../_store_retry.ts";
import { UndecodableError } from "../errors.ts";
import type { ReadOptions } from "../options.ts";

const KEYS = ["from", "after", "to", "limit", "reverse", "follow", "signal"];

/** A range that a signal ends, at the latest when the broker closes. */
export interface EndedRange extends ReadRange {
  readonly signal: AbortSignal;
}

/**
 * Checks the options of `history` and `replay`, and puts them into the store's terms.
 *
 * @param closed Aborts when the broker has closed, which ends the reading.
 */
export function readRange(what: string, options: ReadOptions, closed: AbortSignal): EndedRange {
  checkKeys(what, options, KEYS);
  const { from, after, to, limit, reverse, follow, signal } = options;
  checkSignal(signal);
  if (limit !== undefined) checkNumber("limit", limit, { min: 0, integer: true });
  if (follow && reverse) {
    throw new TypeError(
      `Cannot ${what} with both follow and reverse: there is no end to begin at; leave one of them out`,
    );
  }
  return {
    ...(from === undefined ? {} : { from: positionOf(from, "from", "low") }),
    ...(after === undefined ? {} : { after: positionOf(after, "after", "low") }),
    ...(to === undefined ? {} : { to: positionOf(to, "to", "high") }),
    ...(limit === undefined ? {} : { limit }),
    signal: eitherSignal(signal, closed),
    reverse: reverse === true,
    follow: follow === true,
  };
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
  const known = codecs.flatMap(({ stream }) => layouts.of(stream) ?? []);
  if (known.length === 0) return readStreams(store, codecs, range, () => {});
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
  const reading = Promise.all(known.map((layout) => layout.check()))
    .then(() => readStreams(store, codecs.flatMap(partsOf), range, grown));
  // The caller may never pull an event; if it does, the pull reports the failure.
  reading.catch(() => {});
  return fromPromise(reading, range.signal);
}

async function* fromPromise<E>(
  reading: Promise<AsyncGenerator<E, void, void>>,
  signal: AbortSignal,
): AsyncGenerator<E, void, void> {
  yield* await unlessAborted(reading, signal);
}

/**
 * Events of streams, each of them in order.
 *
 * @param grown Calls back, until the signal aborts, with streams that have come since.
 */
function readStreams<E extends DomainEvent>(
  store: EventStore,
  codecs: readonly StreamCodec<E>[],
  range: EndedRange,
  grown: (add: (codec: StreamCodec<E>) => void, signal: AbortSignal) => void,
): AsyncGenerator<E, void, void> {
  const ends = range.follow ? undefined : codecs.map(({ stream }) => lastPosition(store, stream, range.signal));
  // The caller may never pull an event; if it does, the pull reports that the end could not be looked up.
  for (const end of ends ?? []) end.catch(() => {});
  if (codecs.length === 1 && !range.follow) return readStream(store, codecs[0]!, range, ends?.[0]);
  // Ends the reads of all streams when the caller has enough or one of them fails: the others may be waiting.
  const left = new AbortController();
  const each = { ...range, signal: eitherSignal(range.signal, left.signal) };
  const streams = codecs.map((codec, index) => readStream(store, codec, each, ends?.[index]));
  if (!range.follow) return merge(streams, range, left);
  const more: AsyncGenerator<E, void, void>[] = [];
  const come = new WakeUp();
  grown((codec) => {
    more.push(readStream(store, codec, each, undefined));
    come.wake();
  }, each.signal);
  return interleave(streams, { more, come }, range, left);
}

async function* readStream<E extends DomainEvent>(
  store: EventStore,
  codec: StreamCodec<E>,
  { limit = Infinity, ...range }: EndedRange,
  end: Promise<Position | undefined> | undefined,
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
        if (decoded === OTHER_TYPE) continue;
        const event = decoded instanceof Promise ? await unlessAborted(decoded, signal) : decoded;
        if (event instanceof UndecodableError) throw event;
        yield event;
        signal.throwIfAborted();
        if (++given === limit) return;
      }
    }
  } catch (error) {
    // A store that closes may end the read before it notices the signal: the signal's reason is the cause.
    signal.throwIfAborted();
    throw error;
  }
}

async function* merge<E extends DomainEvent>(
  streams: readonly AsyncGenerator<E, void, void>[],
  { limit = Infinity, reverse = false }: ReadRange,
  left: AbortController,
): AsyncGenerator<E, void, void> {
  try {
    const heads = await Promise.all(streams.map((stream) => stream.next()));
    for (let missing = limit; missing > 0; missing--) {
      let first = -1;
      for (const [index, head] of heads.entries()) {
        if (head.done) continue;
        const best = first < 0 ? undefined : heads[first]!.value!.position!;
        const order = best === undefined ? -1 : comparePositions(head.value.position!, best) * (reverse ? -1 : 1);
        if (order < 0) first = index;
      }
      if (first < 0) return;
      yield heads[first]!.value!;
      heads[first] = await streams[first]!.next();
    }
  } finally {
    left.abort();
    await Promise.all(streams.map((stream) => stream.return()));
  }
}

// Future events cannot be merged by position, so events of several streams are given in the order of their arrival.
async function* interleave<E extends DomainEvent>(
  streams: readonly AsyncGenerator<E, void, void>[],
  later: { readonly more: AsyncGenerator<E, void, void>[]; readonly come: WakeUp },
  { limit = Infinity }: ReadRange,
  left: AbortController,
): AsyncGenerator<E, void, void> {
  const pull = (stream: AsyncGenerator<E, void, void>) => stream.next().then((head) => ({ stream, head }));
  const waiting = new Map([...streams, ...later.more.splice(0)].map((stream) => [stream, pull(stream)]));
  const came = () => later.come.wait(left.signal).then(() => undefined);
  let grown = came();
  try {
    for (let missing = limit; missing > 0 && waiting.size > 0;) {
      const next = await Promise.race([...waiting.values(), grown]);
      if (next === undefined) {
        for (const stream of later.more.splice(0)) waiting.set(stream, pull(stream));
        grown = came();
        continue;
      }
      const { stream, head } = next;
      if (head.done) waiting.delete(stream);
      else {
        missing--;
        yield head.value;
        waiting.set(stream, pull(stream));
      }
    }
  } finally {
    left.abort();
    await Promise.allSettled(waiting.values());
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
