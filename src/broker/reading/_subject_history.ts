import type { DomainEvent } from "../../events/mod.ts";
import { comparePositions, type EventStore, type SubjectRange } from "../../store/mod.ts";
import { OTHER_TYPE, type StreamCodec } from "../codec/_stream_codec.ts";
import type { StreamLayout } from "../partitions/_stream_layout.ts";
import { eitherSignal, unlessAborted } from "../_store_retry.ts";
import { UndecodableError } from "../errors.ts";
import type { EndedRange } from "./_history.ts";
import { byPosition, merge, type Order } from "./_merge.ts";

/** A stream with revisions, and how to decode its entries. */
export interface SubjectSource<E extends DomainEvent> {
  readonly codec: StreamCodec<E>;
  readonly layout: StreamLayout;
}

// A subject that moved to another partition keeps its numbering. The clocks of partitions may differ.
const byRevision: Order = (a, b) => a.revision! - b.revision!;

/** The events of one subject in these streams, up to now, merged by position. */
export async function readSubject<E extends DomainEvent>(
  store: EventStore,
  subject: string,
  sources: readonly SubjectSource<E>[],
  range: EndedRange,
): Promise<AsyncGenerator<E, void, void>> {
  // Ends the reads of all streams when the caller has enough or one of them fails.
  const left = new AbortController();
  const each = { ...range, signal: eitherSignal(range.signal, left.signal) };
  const streams = await Promise.all(sources.map((source) => readStream(store, subject, source, each)));
  return merge(streams, range, left, byPosition);
}

/** The events of a subject in one stream: in its partition, and in those where it was before their number changed. */
async function readStream<E extends DomainEvent>(
  store: EventStore,
  subject: string,
  { codec, layout }: SubjectSource<E>,
  range: EndedRange,
): Promise<AsyncGenerator<E, void, void>> {
  await layout.check();
  const streams = [...new Set(layout.layouts.map((one) => layout.streamOf(subject, one)))];
  const left = new AbortController();
  const each = { ...range, signal: eitherSignal(range.signal, left.signal) };
  const parts = await Promise.all(streams.map(async (stream) => {
    const last = await unlessAborted(store.revision(stream, subject), range.signal);
    return readPart(store, subject, layout.codecOf(codec, stream), last, each);
  }));
  return parts.length === 1 ? parts[0]! : merge(parts, range, left, byRevision);
}

/** @param last The last revision to read. */
async function* readPart<E extends DomainEvent>(
  store: EventStore,
  subject: string,
  codec: StreamCodec<E>,
  last: number,
  { from, after, to, limit = Infinity, reverse = false, fromRevision, signal }: EndedRange,
): AsyncGenerator<E, void, void> {
  // Entries that are left out do not count: only where there are none, the store need not read more than the limit.
  const exact = codec.groupTypes === undefined && from === undefined && after === undefined && to === undefined;
  const range: SubjectRange = {
    signal,
    reverse,
    toRevision: last,
    ...(fromRevision !== undefined && { fromRevision }),
    ...(exact && limit !== Infinity && { limit }),
  };
  try {
    for await (const page of store.readSubject(codec.stream, subject, range)) {
      for (const record of page) {
        const { position } = record;
        const early = from !== undefined && comparePositions(position, from) < 0 ||
          after !== undefined && comparePositions(position, after) <= 0;
        const late = to !== undefined && comparePositions(position, to) > 0;
        // Positions rise with the revisions: none follows that is within the bounds.
        if (reverse ? early : late) return;
        if (early || late) continue;
        const decoded = codec.decode(codec.typeOf(record.fields), record);
        if (decoded === OTHER_TYPE) continue;
        const event = decoded instanceof Promise ? await unlessAborted(decoded, signal) : decoded;
        if (event instanceof UndecodableError) throw event;
        yield event;
        signal.throwIfAborted();
      }
    }
  } catch (error) {
    // A store that closes may end the read before it notices the signal: the signal's reason is the cause.
    signal.throwIfAborted();
    throw error;
  }
}
