import type { DomainEvent } from "../../events/mod.ts";
import type { AppendOptions, EventStore, Fields, Position, RevisedRecord } from "../../store/mod.ts";
import type { StreamLayout } from "../partitions/_stream_layout.ts";
import type { Bases } from "./_bases.ts";
import type { ExpectedRevision } from "./_expected_revision.ts";

/** Events that are appended together, encoded. */
export interface Appendable {
  readonly events: readonly DomainEvent[];
  readonly records: readonly Fields[];
  /** The revision that a subject must have: the events are then alone in their batch. */
  readonly expected: ExpectedRevision | undefined;
}

/** What the store has appended, record by record. */
export interface Appended {
  readonly positions: readonly Position[];
  /** Undefined in a stream without revisions. */
  readonly revisions: readonly number[] | undefined;
}

/** Appends publishes to a stream as one batch. Without publishes, it asks about the batch and gives it up. */
export type Append = (publishes: readonly Appendable[], options: AppendOptions) => Promise<Appended>;

/** Appends to a stream without revisions. */
export function plainAppend(store: EventStore, stream: string): Append {
  return async (publishes, options) => {
    const records: Fields[] = [];
    for (const publish of publishes) for (const record of publish.records) records.push(record);
    return { positions: await store.append(stream, records, options), revisions: undefined };
  };
}

/** Appends to a stream with revisions, or to one of its partitions. */
export function revisedAppend(store: EventStore, stream: string, layout: StreamLayout): Append {
  let bases: Promise<Bases> | undefined;
  // Loaded on first use: the number of partitions hardly ever changes.
  const withBases = async (records: readonly RevisedRecord[]) => {
    bases ??= import("./_bases.ts").then(({ Bases }) => new Bases(store, stream, layout));
    return await (await bases).add(records);
  };
  return async (publishes, options) => {
    const records: RevisedRecord[] = [];
    for (const { events, records: own } of publishes) {
      for (let nth = 0; nth < own.length; nth++) records.push({ fields: own[nth]!, subject: events[nth]!.subject! });
    }
    const expected = publishes[0]?.expected;
    const all = expected === undefined ? options : { ...options, expected };
    const revised = await store.appendRevised(
      stream,
      layout.layouts.length === 1 ? records : await withBases(records),
      all,
    );
    return { positions: revised.map(({ position }) => position), revisions: revised.map(({ revision }) => revision) };
  };
}
