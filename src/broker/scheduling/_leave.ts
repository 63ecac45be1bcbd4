import type { EventStore, Fields, ScheduledRecord, WaitingRecord } from "../../store/mod.ts";
import type { Layout } from "../partitions/_layout.ts";
import type { StreamLayout } from "../partitions/_stream_layout.ts";
import { Bases } from "../publishing/_bases.ts";
import type { Place } from "./_places.ts";

// How many events move together.
const BATCH = 500;

/**
 * Moves the events of a schedule whose layout is over to those of the newest layout. Several brokers may do so at once, also
 * with different knowledge of the layouts: each event moves once.
 *
 * @throws {StoreError} `"layout-changed"` if a newer layout is in force: then call it again with that.
 */
export async function leave(store: EventStore, layout: StreamLayout, place: Place): Promise<void> {
  const schedule = store.schedule(place.stream, place.layout);
  for (;;) {
    const { batch, records } = await schedule.take(BATCH);
    if (records.length === 0) return;
    await move(store, layout, place, { batch, records });
    await schedule.taken(batch);
  }
}

interface Batch {
  readonly batch: number;
  readonly records: readonly WaitingRecord[];
}

async function move(store: EventStore, layout: StreamLayout, place: Place, { batch, records }: Batch): Promise<void> {
  const id = `${place.stream}/leaving/${place.layout}`;
  const producer = { id, sequence: batch, decided: batch - 1, known: false };
  const { layouts, newest } = layout;
  let left = records;
  for (const between of layouts.filter((other) => other.id > place.layout! && other.id < newest.id)) {
    // Another broker may have moved them by a layout that is over now. If it has not, it must not do so later.
    for (const [stream, part] of byStream(layout, left, between)) {
      const { dues } = await store.schedule(stream, between.id).add([], { producer });
      if (dues.length > 0) left = left.filter((record) => !part.includes(record));
    }
  }
  for (const [stream, part] of byStream(layout, left, newest)) {
    await store.schedule(stream, newest.id).add(await recordsFor(store, layout, stream, part), { producer });
  }
}

function byStream(layout: StreamLayout, records: readonly WaitingRecord[], { id, partitions }: Layout) {
  return Map.groupBy(records, ({ fields }) => layout.streamOf(subjectIn(fields), { id, partitions }));
}

async function recordsFor(
  store: EventStore,
  layout: StreamLayout,
  stream: string,
  records: readonly WaitingRecord[],
): Promise<readonly ScheduledRecord[]> {
  const moved = records.map(({ id, fields, due }) => ({ id, fields, when: { at: due } }));
  if (!layout.revisions) return moved;
  return await new Bases(store, stream, layout).add(
    moved.map((record) => ({ ...record, subject: subjectIn(record.fields) })),
  );
}

function subjectIn(fields: Fields): string {
  for (let at = 0; at < fields.length; at += 2) if (fields[at] === "subject") return fields[at + 1]!;
  return "";
}
