import type { DomainEvent } from "../../events/mod.ts";
import type {
  AppendOptions,
  EventStore,
  Fields,
  Position,
  RevisedRecord,
  ScheduledRecord,
  When,
} from "../../store/mod.ts";
import type { StreamLayout } from "../partitions/_stream_layout.ts";
import type { Bases } from "./_bases.ts";
import type { ExpectedRevision } from "./_expected_revision.ts";
import { load } from "../../store/_load.ts";

/** Events that are appended together, encoded. */
export interface Appendable {
  readonly events: readonly DomainEvent[];
  readonly records: readonly Fields[];
  /** The revision that a subject must have: the events are then alone in their batch. */
  readonly expected: ExpectedRevision | undefined;
  /** When the events are due: they are then only with others that are due later in their batch. */
  readonly when: When | undefined;
}

/** What the store has appended, record by record. */
export interface Appended {
  readonly positions: readonly Position[];
  /** Undefined in a stream without revisions. */
  readonly revisions: readonly number[] | undefined;
  /** The due times of scheduled records, in milliseconds since the epoch; these have no positions yet. */
  readonly dues?: readonly number[];
}

/**
 * Appends publishes to a stream as one batch, or adds them to its schedule. Without publishes, it asks about the batch and gives
 * it up.
 */
export type Append = (
  publishes: readonly Appendable[],
  options: AppendOptions,
  scheduled: boolean,
) => Promise<Appended>;

/** Called with the layout by which events were scheduled, and in how many milliseconds the first of them is due. */
export type NoteScheduled = (layout: number | undefined, wait: number) => void;

/** Appends to a stream without revisions. */
export function plainAppend(store: EventStore, stream: string, note: NoteScheduled): Append {
  return async (publishes, options, scheduled) => {
    if (scheduled) return await addScheduled(store, stream, scheduledRecords(publishes), options, note);
    const records: Fields[] = [];
    for (const publish of publishes) for (const record of publish.records) records.push(record);
    return { positions: await store.append(stream, records, options), revisions: undefined };
  };
}

/** Appends to a stream with revisions, or to one of its partitions. */
export function revisedAppend(
  store: EventStore,
  stream: string,
  layout: StreamLayout,
  note: NoteScheduled,
): Append {
  let bases: Promise<Bases> | undefined;
  // Loaded on first use: the number of partitions hardly ever changes.
  const withBases = async <R extends RevisedRecord>(records: readonly R[]) => {
    bases ??= load(() => import("./_bases.ts")).then(({ Bases }) => new Bases(store, stream, layout));
    return await (await bases).add(records);
  };
  const numbered = async <R extends RevisedRecord>(records: readonly R[]) =>
    layout.layouts.length === 1 ? records : await withBases(records);
  return async (publishes, options, scheduled) => {
    if (scheduled) {
      const records = scheduledRecords(publishes, true) as (ScheduledRecord & RevisedRecord)[];
      return await addScheduled(store, stream, await numbered(records), options, note);
    }
    const records: RevisedRecord[] = [];
    for (const { events, records: own } of publishes) {
      for (let nth = 0; nth < own.length; nth++) records.push({ fields: own[nth]!, subject: events[nth]!.subject! });
    }
    const expected = publishes[0]?.expected;
    const all = expected === undefined ? options : { ...options, expected };
    const revised = await store.appendRevised(stream, await numbered(records), all);
    return { positions: revised.map(({ position }) => position), revisions: revised.map(({ revision }) => revision) };
  };
}

function scheduledRecords(publishes: readonly Appendable[], revised = false): ScheduledRecord[] {
  return publishes.flatMap(({ events, records, when }) =>
    records.map((fields, nth) => ({
      id: scheduleId(fields),
      fields,
      when: when!,
      ...(revised && { subject: events[nth]!.subject! }),
    }))
  );
}

async function addScheduled(
  store: EventStore,
  stream: string,
  records: readonly ScheduledRecord[],
  { producer, layout }: AppendOptions,
  note: NoteScheduled,
): Promise<Appended> {
  const { dues, now } = await store.schedule(stream, layout).add(records, producer === undefined ? {} : { producer });
  if (dues.length > 0) note(layout, dues.reduce((first, due) => Math.min(first, due)) - now);
  return { positions: [], revisions: undefined, dues };
}

/** The id of an encoded event in the schedule of its stream: its own, behind its type if the stream has another name. */
function scheduleId(fields: Fields): string {
  const [, id, , , name, type] = fields;
  return name === "type" ? scheduledAs(type!, id!) : id!;
}

/** The id of an event whose type is not the name of its stream. A line break is in no id, so that ids stay apart. */
export function scheduledAs(type: string, id: string): string {
  return `${type}\n${id}`;
}
