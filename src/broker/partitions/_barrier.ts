import type { EventStore, GroupState, Position } from "../../store/mod.ts";
import { comparePositions } from "../../store/mod.ts";
import { sleep } from "../_store_retry.ts";
import { cutKey, layoutAt, rewindState } from "./_layout.ts";
import type { StreamLayout } from "./_stream_layout.ts";

// How often the store is asked while entries are held back, in milliseconds. Each question is about all partitions, which costs
// the store time. So the interval grows while the group has not settled the older entries.
const INTERVAL = 100;
const LONGEST_INTERVAL = 1_000;

/** The part of a subscription that a barrier uses. */
export interface BarrierOptions {
  readonly store: EventStore;
  readonly layout: StreamLayout;
  readonly group: string;
  /** Ends the waits. */
  readonly signal: AbortSignal;
  /** The store could not be reached. */
  retrying(error: unknown, delay: number): void;
}

/**
 * Holds back entries that were appended after the number of partitions changed, until the group has settled all that were
 * appended before. Otherwise an event could be handled before an earlier one of its subject, which is in another partition.
 */
export class Barrier {
  #options: BarrierOptions;
  /** The newest layout whose older entries are all settled. */
  #passed = -1;
  #updating: Promise<void> | undefined;
  #updatedAt = -Infinity;
  #interval = INTERVAL;
  /** Streams with older entries that the group had not settled when the store was asked last. */
  #unsettled: ReadonlySet<string> = new Set();
  /** How often {@linkcode reset} was called. */
  #resets = 0;

  constructor(options: BarrierOptions) {
    this.#options = options;
  }

  /** Whether an entry may be handled now. */
  isOpen(stream: string, position: Position): boolean {
    const { layout } = this.#options;
    // All other layouts have partitions: entries of the stream itself are the oldest.
    if (stream === layout.stream) return true;
    if (!layout.knows(position)) return false;
    const { layouts } = layout;
    if (layouts.length === 1) return true;
    const { id } = layoutAt(layouts, stream, position);
    return id <= this.#passed || id === layouts[0]!.id;
  }

  /** The group may have been rewound: older entries may be unsettled again. */
  reset(): void {
    this.#passed = -1;
    this.#interval = INTERVAL;
    this.#resets++;
  }

  /** Whether it waits for older entries of this stream, as far as the store was asked. */
  waitsFor(stream: string): boolean {
    return this.#unsettled.has(stream);
  }

  /** Asks the store what may be handled by now, at most every 100 milliseconds, and less often after a while. Never rejects. */
  update(): Promise<void> {
    return this.#updating ??= this.#update().finally(() => this.#updating = undefined);
  }

  async #update(): Promise<void> {
    const { layout, signal, retrying } = this.#options;
    await sleep(this.#updatedAt + this.#interval - performance.now(), signal);
    const before = this.#passed;
    try {
      await layout.refresh();
      if (layout.layouts.length > 1) await this.#advance();
    } catch (error) {
      if (!signal.aborted) retrying(error, this.#interval);
    }
    this.#interval = this.#passed === before ? Math.min(this.#interval * 1.2, LONGEST_INTERVAL) : INTERVAL;
    this.#updatedAt = performance.now();
  }

  /** Finds the newest layout whose older entries are all settled. */
  async #advance(): Promise<void> {
    const { store, layout, group } = this.#options;
    const { layouts, streams: parts } = layout;
    const rewinding = store.state(layout.stream, rewindState(group));
    const resets = this.#resets;
    const before = await rewinding.read();
    if (isRewinding(before)) return;
    const states = new Map<string, GroupState | undefined>();
    await Promise.all(parts.map(async (part) => {
      const { groups } = await store.admin(part).info();
      states.set(part, groups.find(({ name }) => name === group));
    }));
    // A rewind that began meanwhile may have changed some of the states.
    if ((await rewinding.read()).version !== before.version) return;
    let passed = layouts[0]!.id;
    let unsettled: string[] = [];
    for (const { id, cuts = {} } of layouts.slice(1)) {
      unsettled = parts.filter((part) => !hasSettled(states.get(part), cuts[cutKey(part)]));
      if (unsettled.length > 0) break;
      passed = id;
    }
    this.#unsettled = new Set(unsettled);
    if (resets === this.#resets) this.#passed = passed;
  }
}

/** Whether a group has settled all entries of a stream up to this position. */
function hasSettled(state: GroupState | undefined, cut: Position | undefined): boolean {
  if (cut === undefined) return true;
  if (state === undefined) return false;
  // Later events of a held key must not overtake those that wait, nor be handled before the letter.
  const { keys, from } = state.held;
  if (keys > 0 && (from === undefined || comparePositions(from, cut) <= 0)) return false;
  return state.floor === undefined ? state.lag === 0 : comparePositions(state.floor, cut) > 0;
}

/** Whether a rewind runs. Its text is when it counts as ended, should its process have died. */
function isRewinding({ text, now }: { readonly text: string | undefined; readonly now: number }): boolean {
  return text !== undefined && Number(text) > now;
}
