import { type EventStore, type GroupState, type Position, StoreError } from "../../store/mod.ts";
import { sleep } from "../_store_retry.ts";
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

// How long the consumer that makes a group on a new partition counts as alive, should it die before it leaves, in ms.
const LEASE = 1_000;

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
  // The write of the announcement may have taken long: consumers get their notice from a read that came after it.
  let noticed: number | undefined;
  for (let wait = Infinity; wait > 0;) {
    signal?.throwIfAborted();
    const { now, done, isLost } = await look();
    if (done !== undefined || isLost) return done;
    noticed ??= now;
    wait = Math.max(next.notBefore, noticed + NOTICE) - now;
    if (wait > 0) await sleep(wait, signal);
  }
  const existing = streamsOf(stream, record.layouts);
  const all = streamsOf(stream, [...record.layouts, next]);
  const cuts: Record<string, Position> = {};
  for (const part of all) {
    const last = await store.admin(part).fence(next.id);
    if (last !== undefined) cuts[cutKey(part)] = last;
  }
  // After the fences, so that a group which begins with new entries is found, or begins in the new layout.
  await makeGroups(store, existing, all.filter((part) => !existing.includes(part)));
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

/** Makes every group of the existing streams on the new ones, so that it misses no event, whatever its `startFrom`. */
async function makeGroups(store: EventStore, existing: readonly string[], added: readonly string[]): Promise<void> {
  if (added.length === 0) return;
  const groups = new Map<string, GroupState>();
  for (const stream of existing) {
    for (const group of (await store.admin(stream).info()).groups) groups.set(group.name, group);
  }
  for (const stream of added) {
    const made = new Set((await store.admin(stream).info()).groups.map(({ name }) => name));
    for (const { name, types, whenDead } of groups.values()) {
      if (made.has(name)) continue;
      const options = { consumer: "repartition", lease: LEASE, startFrom: "beginning", whenDead } as const;
      const member = await store.member(stream, name, types === undefined ? options : { ...options, types });
      await member.leave();
    }
  }
}
