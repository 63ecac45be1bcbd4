import { type EventStore, type Position, StoreError } from "../../store/mod.ts";
import { sleep } from "../_store_retry.ts";
import { NewGroups } from "./_new_groups.ts";
import {
  type AnnouncedLayout,
  cutKey,
  type Layout,
  LAYOUT_STATE,
  type LayoutRecord,
  layoutsIn,
  streamsOf,
} from "./_layout.ts";
import { NOTICE } from "./_stream_layout.ts";

/**
 * Changes the number of partitions of the stream `<prefix>:<name>` while brokers publish and consume.
 *
 * The new layout is announced {@linkcode NOTICE} milliseconds before it is in force, so that consumers know it when its
 * first entries come. Then all partitions are closed to the old layout. Their last positions are kept with the new layout,
 * as cuts. A consumer holds entries of the new layout back until its group has settled every entry before the cuts, so the
 * order of each subject is kept.
 *
 * It may be called again after a failure: it goes on where the earlier call ended.
 *
 * @throws {StoreError} `"partitions-differ"` if another call changes the number to another one.
 * @throws {StoreError} `"group-busy"` if a group waits for a release that knows newer versions, or holds keys.
 */
export async function repartition(
  store: EventStore,
  stream: string,
  partitions: number,
  signal?: AbortSignal,
): Promise<Layout> {
  for (;;) {
    const { record, next } = await begin(store, stream, partitions);
    if (next === undefined) return record.layouts.at(-1)!;
    const layout = await enforce(store, stream, record, next, signal);
    // A failover may have lost the announcement: it is made again.
    if (layout !== undefined) return layout;
  }
}

/** Puts the announced layout in force; resolves with undefined if the store has lost the announcement. */
async function enforce(
  store: EventStore,
  stream: string,
  record: LayoutRecord,
  next: AnnouncedLayout,
  signal: AbortSignal | undefined,
): Promise<Layout | undefined> {
  const state = store.state(stream, LAYOUT_STATE);
  const look = async () => {
    const { text, version, now } = await state.read();
    const { layouts, next: announced } = layoutsIn(text, stream);
    const newest = layouts.at(-1)!;
    // An earlier write may have succeeded though its answer was lost, or another process has ended this repartition.
    const done = newest.id >= next.id ? newest : undefined;
    const isLost = done === undefined && (announced?.id !== next.id || announced.notBefore !== next.notBefore);
    return { version, now, layouts, done, isLost };
  };
  const existing = streamsOf(stream, record.layouts);
  const all = streamsOf(stream, [...record.layouts, next]);
  const groups = new NewGroups(store, existing, all.filter((part) => !existing.includes(part)));
  // The write of the announcement may have taken long: consumers get their notice from a read that came after it.
  let seen = await look();
  const inForceFrom = Math.max(next.notBefore, seen.now + NOTICE);
  // Publishes do not wait yet: only groups that come meanwhile are left for later.
  if (seen.done === undefined && !seen.isLost) {
    await groups.make();
    seen = await look();
  }
  while (seen.done === undefined && !seen.isLost && seen.now < inForceFrom) {
    signal?.throwIfAborted();
    await sleep(inForceFrom - seen.now, signal);
    seen = await look();
  }
  signal?.throwIfAborted();
  if (seen.done !== undefined || seen.isLost) return seen.done;
  const cuts: Record<string, Position> = {};
  await Promise.all(all.map(async (part) => {
    const last = await store.admin(part).fence(next.id);
    if (last !== undefined) cuts[cutKey(part)] = last;
  }));
  // After the fences, so that a group which begins with new entries is found, or begins in the new layout.
  await groups.make();
  const layout: Layout = { id: next.id, partitions: next.partitions, cuts };
  for (;;) {
    const { version, layouts, done, isLost } = await look();
    if (done !== undefined || isLost) return done;
    if (await state.write(JSON.stringify({ layouts: [...layouts, layout] }), version)) return layout;
  }
}

/** Notes in the store that the number is about to change; `next` is undefined if it has this number already. */
async function begin(
  store: EventStore,
  stream: string,
  partitions: number,
): Promise<{ readonly record: LayoutRecord; readonly next: AnnouncedLayout | undefined }> {
  const state = store.state(stream, LAYOUT_STATE);
  for (;;) {
    const { text, version, now } = await state.read();
    const record = layoutsIn(text, stream);
    const { layouts, next: begun } = record;
    if (begun !== undefined) {
      if (begun.partitions === partitions) return { record, next: begun };
      throw new StoreError(
        "partitions-differ",
        `Cannot change the partitions of ${stream} to ${partitions}: another call is changing them to ` +
          `${begun.partitions}; call repartition with ${begun.partitions} to end that change first`,
      );
    }
    const newest = layouts.at(-1)!;
    if (newest.partitions === partitions) return { record, next: undefined };
    await assertSettling(store, streamsOf(stream, layouts));
    const next: AnnouncedLayout = { id: newest.id + 1, partitions, notBefore: now + NOTICE };
    const written: LayoutRecord = { layouts, next };
    if (await state.write(JSON.stringify(written), version)) return { record: written, next };
  }
}

// A consumer would hold back the new layout for as long as these wait.
async function assertSettling(store: EventStore, streams: readonly string[]): Promise<void> {
  for (const stream of streams) {
    const { groups } = await store.admin(stream).info();
    const holding = groups.find(({ held }) => held.keys > 0);
    if (holding !== undefined) {
      throw new StoreError(
        "group-busy",
        `Cannot change the partitions of ${stream}: events of group "${holding.name}" wait behind the dead letters of ` +
          `${holding.held.keys} keys; redrive or discard these letters first`,
      );
    }
    const waiting = groups.find(({ deferred }) => deferred.length > 0);
    if (waiting === undefined) continue;
    throw new StoreError(
      "group-busy",
      `Cannot change the partitions of ${stream}: group "${waiting.name}" has events of a newer version than its ` +
        `consumers know; run consumers that know version ${waiting.deferred.at(-1)!.version} first`,
    );
  }
}
