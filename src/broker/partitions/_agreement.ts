import { type EventStore, StoreError } from "../../store/mod.ts";
import { type Layout, LAYOUT_STATE, type LayoutRecord, layoutsIn, UNPARTITIONED } from "./_layout.ts";

/** A stream, and the number of partitions that the options of a broker give it. */
export interface Wanted {
  /** The stream that all partitions belong to: `<prefix>:<name>`. */
  readonly stream: string;
  /** The name of the stream, without the prefix. */
  readonly name: string;
  /** How many partitions it should have; 0 for none. */
  readonly partitions: number;
}

/** The layouts of a stream, as the store had them at the time `now` of its clock, in milliseconds since the epoch. */
export interface KnownLayouts extends LayoutRecord {
  readonly now: number;
}

/** The layouts of a stream in the store, whatever their number of partitions; layout 0 if there are none. */
export async function readLayouts(store: EventStore, stream: string): Promise<KnownLayouts> {
  const { text, now } = await store.state(stream, LAYOUT_STATE).read();
  return { ...layoutsIn(text, stream), now };
}

/** Writes the layouts of a stream again if the store has lost them, for example because its data was deleted. */
export async function restoreLayouts(store: EventStore, stream: string, layouts: readonly Layout[]): Promise<void> {
  const state = store.state(stream, LAYOUT_STATE);
  const { text, version } = await state.read();
  const record: LayoutRecord = { layouts };
  const kept = text === undefined ? [] : layoutsIn(text, stream).layouts;
  // A failover may have lost the last layouts only.
  const isBeginning = kept.length < layouts.length &&
    kept.every(({ id, partitions }, nth) => id === layouts[nth]!.id && partitions === layouts[nth]!.partitions);
  if (isBeginning) await state.write(JSON.stringify(record), version);
}

/**
 * The layouts of a stream in the store, of which the newest has the wanted number of partitions. Writes it if there is none.
 *
 * @param write Whether to write it; otherwise layout 0 stands for one that no broker has written yet.
 */
export async function agreedLayouts(store: EventStore, wanted: Wanted, write: boolean): Promise<KnownLayouts> {
  const { stream, partitions } = wanted;
  const state = store.state(stream, LAYOUT_STATE);
  for (;;) {
    const { text, version, now } = await state.read();
    if (text !== undefined) {
      const record = layoutsIn(text, stream);
      const newest = record.layouts.at(-1)!;
      if (newest.partitions === partitions) return { ...record, now };
      throw partitionsDiffer(wanted, `the store has it with ${count(newest.partitions)}`);
    }
    if (partitions > 0) await assertUnused(store, wanted);
    if (partitions === 0 || !write) return { layouts: [UNPARTITIONED], now };
    const record: LayoutRecord = { layouts: [{ id: 1, partitions }] };
    // Another broker may have written one meanwhile.
    if (await state.write(JSON.stringify(record), version)) return { ...record, now };
  }
}

// Entries and groups from before would be forgotten.
async function assertUnused(store: EventStore, wanted: Wanted): Promise<void> {
  const { last, groups } = await store.admin(wanted.stream).info();
  if (last === undefined && groups.length === 0) return;
  throw partitionsDiffer(
    wanted,
    `the store has it without partitions, with ${last === undefined ? "groups" : "events"}`,
  );
}

function partitionsDiffer({ stream, name, partitions }: Wanted, why: string): StoreError {
  return new StoreError(
    "partitions-differ",
    `Cannot use ${stream} with ${count(partitions)}: ${why}; change streams.${name}.partitions in the options of the ` +
      `broker, or change the stream by broker.repartition`,
  );
}

function count(partitions: number): string {
  return partitions === 0 ? "no partitions" : partitions === 1 ? "1 partition" : `${partitions} partitions`;
}
