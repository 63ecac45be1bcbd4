import { isInstance } from "../../events/_foreign.ts";
import { StoreError } from "../../store/mod.ts";
import type { StreamLayout } from "../partitions/_stream_layout.ts";

/** A schedule in the store: a stream, and the layout by which it was chosen. */
export interface Place {
  readonly stream: string;
  /** Undefined for a stream that never has partitions. */
  readonly layout: number | undefined;
}

/** The schedules of a stream: those that are in force, and those of earlier layouts, the oldest first. */
export interface Places {
  readonly current: readonly Place[];
  readonly former: readonly Place[];
}

/** The schedules of a stream. `layout` is left out for a stream that never has partitions. */
export function placesOf(stream: string, layout: StreamLayout | undefined): Places {
  if (layout === undefined) return { current: [{ stream, layout: undefined }], former: [] };
  const all = layout.layouts.map(({ id, partitions }): Place[] =>
    partitions === 0
      ? [{ stream, layout: id }]
      : Array.from({ length: partitions }, (_, number) => ({ stream: `${stream}#${number}`, layout: id }))
  );
  return { current: all.at(-1)!, former: all.slice(0, -1).flat() };
}

/** Whether a schedule was refused because the stream has other partitions by now. */
export function isLayoutChanged(error: unknown): boolean {
  return isInstance(error, StoreError) && error.kind === "layout-changed";
}
