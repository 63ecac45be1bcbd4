import { checkKeys, checkNumber } from "../../events/_check.ts";
import { assertName } from "../../events/_names.ts";
import type { DomainEvent, RetentionOptions } from "../../events/mod.ts";
import type { DeadLetterBox, DiscardOptions, EventStore, GroupState, StreamState } from "../../store/mod.ts";
import { comparePositions, positionTime } from "../../store/mod.ts";
import { unknownGroup } from "../../store/_groups.ts";
import type { EventCodec } from "../codec/_event_codec.ts";
import { contentOf, DeadLetter } from "./_dead_letter.ts";
import type { DiscardDeadLettersOptions } from "../options.ts";
import type { GroupInfo, StreamInfo } from "../stream_info.ts";

/** The public form of a stream's state. */
export function streamInfo(type: string, state: StreamState, retention: RetentionOptions | undefined): StreamInfo {
  const { length, first, last, groups } = state;
  return { type, length, first, last, pinnedBy: pinnedBy(state, retention), groups: groups.map(groupInfo) };
}

function groupInfo({ floor, oldestDeadLetter, ...group }: GroupState): GroupInfo {
  return {
    ...group,
    oldestUnsettled: floor === undefined ? undefined : new Date(positionTime(floor)),
    oldestDeadLetter: oldestDeadLetter === undefined ? undefined : new Date(oldestDeadLetter),
  };
}

function pinnedBy(
  { length, first, groups }: StreamState,
  { maxAge = Infinity, maxLength = Infinity }: RetentionOptions = {},
): string | undefined {
  const overdue = length > maxLength || first !== undefined && positionTime(first) < Date.now() - maxAge;
  if (!overdue) return undefined;
  let slowest: GroupState | undefined;
  for (const group of groups) {
    if (group.floor === undefined) continue;
    if (slowest === undefined || comparePositions(group.floor, slowest.floor!) < 0) slowest = group;
  }
  return slowest?.name;
}

/** Throws a RangeError unless the stream has this group. */
async function assertGroup(store: EventStore, stream: string, group: string): Promise<void> {
  const { groups } = await store.admin(stream).info();
  const names = groups.map(({ name }) => name);
  if (!names.includes(group)) throw unknownGroup(group, stream, names);
}

/** The dead letters of a group, oldest first. */
export async function* deadLetters<E extends DomainEvent>(
  store: EventStore,
  codec: EventCodec<E>,
  group: string,
  signal: AbortSignal | undefined,
): AsyncGenerator<DeadLetter<E>, void, void> {
  await assertGroup(store, codec.stream, group);
  for await (const page of store.admin(codec.stream).deadLetters(group).list(signal ? { signal } : {})) {
    for (const record of page) {
      signal?.throwIfAborted();
      yield new DeadLetter(record, await contentOf(record, codec));
    }
  }
}

/** Redrives dead letters of a group, or counts those that would be redriven; resolves with their number. */
export async function redrive(
  store: EventStore,
  stream: string,
  { group, ids, dryRun = false, signal }: {
    readonly group: string;
    readonly ids?: readonly string[];
    readonly dryRun?: boolean;
    readonly signal?: AbortSignal;
  },
): Promise<number> {
  signal?.throwIfAborted();
  await assertGroup(store, stream, group);
  const box = store.admin(stream).deadLetters(group);
  return dryRun ? (await failureTimes(box, ids, signal)).length : await box.redrive(ids);
}

/** When the letters last failed, all or those with these ids, oldest letter first. */
async function failureTimes(
  box: DeadLetterBox,
  ids: readonly string[] | undefined,
  signal: AbortSignal | undefined,
): Promise<number[]> {
  const wanted = ids === undefined ? undefined : new Set(ids);
  const times: number[] = [];
  for await (const page of box.list(signal ? { signal } : {})) {
    for (const { id, lastFailedAt } of page) if (wanted === undefined || wanted.has(id)) times.push(lastFailedAt);
  }
  return times;
}

/** Discards dead letters of a group, or counts those that would be discarded. */
export async function discardDeadLetters(
  store: EventStore,
  stream: string,
  options: DiscardDeadLettersOptions,
): Promise<number> {
  checkDiscard(options);
  const { group, ids, maxAge = Infinity, maxLength = Infinity, dryRun = false, signal } = options;
  signal?.throwIfAborted();
  await assertGroup(store, stream, group);
  const box = store.admin(stream).deadLetters(group);
  const bounds: DiscardOptions = {
    ...(maxAge !== Infinity && { maxAge }),
    ...(maxLength !== Infinity && { maxLength }),
  };
  // A bound of Infinity keeps everything; the store would take no bounds for all letters.
  if (options.maxAge !== undefined || options.maxLength !== undefined) {
    if (maxAge === Infinity && maxLength === Infinity) return 0;
  }
  if (!dryRun) return await box.discard(ids === undefined ? bounds : { ids });
  const failedAt = await failureTimes(box, ids, signal);
  if (maxAge === Infinity && maxLength === Infinity) return failedAt.length;
  const oldest = Date.now() - maxAge;
  return failedAt.filter((at, index) => index < failedAt.length - maxLength || at < oldest).length;
}

function checkDiscard(options: DiscardDeadLettersOptions): void {
  checkKeys("discard dead letters", options, ["group", "ids", "maxAge", "maxLength", "dryRun", "signal"]);
  const { group, ids, maxAge, maxLength } = options;
  assertName("group", group);
  if (maxAge !== undefined) checkNumber("maxAge (ms)", maxAge, { min: 0 });
  if (maxLength !== undefined) checkNumber("maxLength", maxLength, { min: 0, integer: true });
  if (ids !== undefined && (maxAge !== undefined || maxLength !== undefined)) {
    throw new TypeError("Cannot discard dead letters by both ids and bounds: give ids alone, or maxAge and maxLength");
  }
}
