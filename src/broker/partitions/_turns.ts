import { comparePositions, type EventStore, type Position, type ReadRange } from "../../store/mod.ts";
import { sleep } from "../_store_retry.ts";
import { cutKey, type Layout, layoutAt, streamsOf } from "./_layout.ts";
import type { StreamLayout } from "./_stream_layout.ts";

// How often a reader looks whether earlier events have been read, in milliseconds.
const INTERVAL = 50;

/**
 * The turns of a reader that follows all streams of a layout side by side. When the number of partitions changes, an event of
 * the new layout waits until all events of earlier ones have been read: some may be of the same subject.
 */
export class Turns {
  #store: EventStore;
  #layout: StreamLayout;
  #range: Pick<ReadRange, "from" | "after" | "to">;
  /** The last position that was read, by the stream in the store. */
  #read = new Map<string, Position>();
  /** The newest layout whose earlier events have all been read. */
  #open = -1;
  #opening: Promise<void> | undefined;

  /** @param range The part of the streams that the reader reads. */
  constructor(store: EventStore, layout: StreamLayout, { from, after, to }: ReadRange = {}) {
    this.#store = store;
    this.#layout = layout;
    this.#range = { ...(from && { from }), ...(after && { after }), ...(to && { to }) };
  }

  /** The reader needs nothing up to this position any more. */
  passed(stream: string, position: Position): void {
    this.#read.set(stream, position);
  }

  /** Waits until it is the turn of an entry; undefined if it is now. Never rejects; ends early when the signal aborts. */
  of(stream: string, position: Position, signal: AbortSignal): Promise<void> | undefined {
    return this.#isOpen(stream, position) ? undefined : this.#wait(stream, position, signal);
  }

  #isOpen(stream: string, position: Position): boolean {
    // Entries of the stream itself are the oldest: all other layouts have partitions.
    if (stream === this.#layout.stream) return true;
    if (!this.#layout.knows(position)) return false;
    const { layouts } = this.#layout;
    const { id } = layoutAt(layouts, stream, position);
    return id <= this.#open || id === layouts[0]!.id;
  }

  async #wait(stream: string, position: Position, signal: AbortSignal): Promise<void> {
    while (!signal.aborted && !this.#isOpen(stream, position)) {
      await (this.#opening ??= this.#look(signal).finally(() => this.#opening = undefined));
      if (!this.#isOpen(stream, position)) await sleep(INTERVAL, signal);
    }
  }

  async #look(signal: AbortSignal): Promise<void> {
    try {
      await this.#layout.refresh();
      const { layouts } = this.#layout;
      for (const [nth, layout] of layouts.entries()) {
        if (layout.id <= this.#open) continue;
        const earlier = streamsOf(this.#layout.stream, layouts.slice(0, nth));
        const read = await Promise.all(earlier.map((stream) => this.#hasRead(stream, layout, signal)));
        if (read.includes(false)) return;
        this.#open = layout.id;
      }
    } catch {
      // The readers report that the store cannot be reached. The next look comes soon.
    }
  }

  async #hasRead(stream: string, { cuts = {} }: Layout, signal: AbortSignal): Promise<boolean> {
    const cut = cuts[cutKey(stream)];
    const read = this.#read.get(stream);
    if (cut === undefined || read !== undefined && comparePositions(read, cut) >= 0) return true;
    // Entries may have been removed, or be outside of the range.
    const { to = cut } = this.#range;
    const rest = {
      ...(read === undefined ? this.#range : { after: read }),
      to: comparePositions(to, cut) < 0 ? to : cut,
      limit: 1,
      signal,
    };
    for await (const page of this.#store.read(stream, rest)) if (page.length > 0) return false;
    return true;
  }
}
