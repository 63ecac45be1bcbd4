import { reasonOf } from "../../events/_check.ts";
import { type EventStore, StoreError } from "../../store/mod.ts";
import type { Layout, StreamLayout } from "./_stream_layout.ts";

/** The name of the shared state that keeps the layouts of a stream. */
const STATE = "layout";

type Wanted = Pick<StreamLayout, "stream" | "name" | "partitions">;

/**
 * The newest layout of a stream in the store, which has the wanted number of partitions. Writes it if there is none.
 *
 * @param write Whether to write it; otherwise layout 0 stands for one that no broker has written yet.
 */
export async function agreedLayout(store: EventStore, wanted: Wanted, write: boolean): Promise<Layout> {
  const { stream, partitions } = wanted;
  const state = store.state(stream, STATE);
  for (;;) {
    const { text, version } = await state.read();
    if (text !== undefined) {
      const newest = layoutsIn(text, stream).at(-1)!;
      if (newest.partitions === partitions) return newest;
      throw partitionsDiffer(wanted, `the store has it with ${count(newest.partitions)}`);
    }
    const first: Layout = { id: 1, partitions };
    if (partitions === 0) return { ...first, id: 0 };
    await assertUnused(store, wanted);
    if (!write) return { ...first, id: 0 };
    // Another broker may have written one meanwhile.
    if (await state.write(JSON.stringify({ layouts: [first] }), version)) return first;
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

/** The layouts in the text of the shared state, oldest first. */
function layoutsIn(text: string, stream: string): Layout[] {
  try {
    const { layouts } = JSON.parse(text) as { layouts: Layout[] };
    if (
      layouts.every(({ id, partitions }) => Number.isInteger(id) && Number.isInteger(partitions)) && layouts.length > 0
    ) {
      return layouts;
    }
  } catch (error) {
    throw new Error(`Cannot read the partitions of ${stream}: ${reasonOf(error)}; another program wrote its state`);
  }
  throw new Error(`Cannot read the partitions of ${stream}: its state has no layout; another program wrote it`);
}
