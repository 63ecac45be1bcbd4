import { reasonOf } from "../../events/_check.ts";
import type { Position } from "../../store/mod.ts";
import { comparePositions } from "../../store/mod.ts";

/** The name of the shared state that keeps the layouts of a stream. */
export const LAYOUT_STATE = "layout";

/** How many partitions a stream has, as the store keeps it. */
export interface Layout {
  /** The number of the layout, from 1; 0 for a stream without partitions. */
  readonly id: number;
  /** How many partitions there are; 0 for a stream without partitions. */
  readonly partitions: number;
  /**
   * The last position that each stream had before this layout, by its number, or by "" for the stream without partitions.
   * Streams that were empty are left out. The first layout has none.
   */
  readonly cuts?: Readonly<Record<string, Position>>;
}

/** A layout that `repartition` is about to put in force. */
export interface AnnouncedLayout extends Layout {
  /** No entry of it is appended before this time of the store's clock, in milliseconds since the epoch. */
  readonly notBefore: number;
}

/** The layout of a stream that never had partitions. */
export const UNPARTITIONED: Layout = { id: 0, partitions: 0 };

/** The text of the shared state. */
export interface LayoutRecord {
  /** All layouts that the stream had, oldest first. The last one is in force. */
  readonly layouts: readonly Layout[];
  /** The layout that comes next. */
  readonly next?: AnnouncedLayout;
}

/** The layouts in the text of the shared state; layout 0 alone if there is no text. */
export function layoutsIn(text: string | undefined, stream: string): LayoutRecord {
  if (text === undefined) return { layouts: [UNPARTITIONED] };
  try {
    const record = JSON.parse(text) as LayoutRecord;
    const isLayout = ({ id, partitions }: Layout) => Number.isInteger(id) && Number.isInteger(partitions);
    if (record.layouts.every(isLayout) && record.layouts.length > 0) return record;
  } catch (error) {
    throw new Error(`Cannot read the partitions of ${stream}: ${reasonOf(error)}; another program wrote its state`);
  }
  throw new Error(`Cannot read the partitions of ${stream}: its state has no layout; another program wrote it`);
}

/** The streams in the store that belong to any of the layouts: the oldest first, each once. */
export function streamsOf(stream: string, layouts: readonly Layout[]): string[] {
  const all = layouts.flatMap(({ partitions }) =>
    partitions === 0 ? [stream] : Array.from({ length: partitions }, (_, number) => `${stream}#${number}`)
  );
  return [...new Set(all)];
}

/** The bounds of one partition: its share of those of the stream, rounded up. An age is the same for all. */
export function shareOf<B extends object>({ ...bounds }: B, partitions: number): B {
  const shares = Object.entries(bounds).map(([name, bound]) => [
    name,
    typeof bound === "number" && name !== "maxAge" ? Math.ceil(bound / partitions) : bound,
  ]);
  return Object.fromEntries(shares) as B;
}

/** The key of a stream in the store in the cuts of a layout. */
export function cutKey(stream: string): string {
  const at = stream.lastIndexOf("#");
  return at < 0 ? "" : stream.slice(at + 1);
}

/** The layout in which an entry of this stream was appended. */
export function layoutAt(layouts: readonly Layout[], stream: string, position: Position): Layout {
  const key = cutKey(stream);
  for (let nth = layouts.length - 1; nth > 0; nth--) {
    const cut = layouts[nth]!.cuts?.[key];
    if (cut === undefined || comparePositions(position, cut) > 0) return layouts[nth]!;
  }
  return layouts[0]!;
}

/** The name of the shared state that keeps the consumers of a group and who of them reads which partition. */
export function assignmentState(group: string): string {
  return `assignment:${group}`;
}

/** The name of the shared state that says that a group is being rewound. */
export function rewindState(group: string): string {
  return `rewind:${group}`;
}
