import type { EventDefinition } from "../../events/_definition.ts";
import type { RetentionOptions } from "../../events/mod.ts";
import type { GroupState, ScheduleState, StreamState } from "../../store/mod.ts";
import { comparePositions, positionTime } from "../../store/mod.ts";
import { parseControl, pauseAt } from "../consuming/flow/_control.ts";
import type { GroupInfo, PartitionInfo, PartitionProgress, PauseInfo, StreamInfo } from "./stream_info.ts";

/** The state of a stream; of each partition, too, if it has partitions. */
interface State extends StreamState {
  readonly partitions?: readonly (StreamState & { readonly stream: string; readonly partition: number | undefined })[];
}

/** The retention of a stream in the store. */
type RetentionOf = (stream: string) => RetentionOptions | undefined;

/** The public form of a stream's state. */
export function streamInfo(
  { type, stream: name }: EventDefinition,
  stream: string,
  { partitions, ...state }: State,
  { waiting, due }: Pick<ScheduleState, "waiting" | "due">,
  retentionOf: RetentionOf,
): StreamInfo {
  const { length, bytes, first, last, groups } = state;
  const scheduled = { waiting, next: due === undefined ? undefined : new Date(due) };
  const info = { type, stream: name, length, bytes, first, last, scheduled };
  if (partitions === undefined) {
    const pinned = pinnedBy(state, retentionOf(stream));
    return { ...info, pinnedBy: pinned?.name, groups: groups.map((group) => groupInfo(group, name)) };
  }
  const parts = partitions.map((part): PartitionInfo => ({
    partition: part.partition,
    stream: part.stream,
    length: part.length,
    bytes: part.bytes,
    first: part.first,
    last: part.last,
    pinnedBy: pinnedBy(part, retentionOf(part.stream))?.name,
    groups: part.groups.map((group) => groupInfo(group, name)),
  }));
  const pinning = partitions.flatMap((part) => pinnedBy(part, retentionOf(part.stream)) ?? []);
  return {
    ...info,
    pinnedBy: slowest(pinning)?.name,
    groups: groups.map((group) => ({
      ...groupInfo(group, name),
      partitions: parts.flatMap((part) => progressOf(part, group.name)),
    })),
    partitions: parts,
  };
}

function groupInfo({ floor, oldestDeadLetter, types, control, ...group }: GroupState, name: string): GroupInfo {
  return {
    ...group,
    paused: pauseInfo(control),
    rate: control === undefined ? undefined : parseControl(control).rate,
    types: types ?? [name],
    oldestUnsettled: floor === undefined ? undefined : new Date(positionTime(floor)),
    oldestDeadLetter: oldestDeadLetter === undefined ? undefined : new Date(oldestDeadLetter),
  };
}

function pauseInfo(control: string | undefined): PauseInfo | undefined {
  const pause = control === undefined ? undefined : pauseAt(parseControl(control), Date.now());
  if (pause === undefined) return undefined;
  const { since, until, reason } = pause;
  return { since: new Date(since), until: until === undefined ? undefined : new Date(until), reason };
}

/** How far a group is in one partition; empty if it does not exist there. */
function progressOf({ partition, stream, groups }: PartitionInfo, name: string): PartitionProgress[] {
  return groups.filter((group) => group.name === name).map(
    ({ lag, lagIsExact, pending, oldestUnsettled, consumers }) => {
      const [owner, another] = consumers.filter(({ alive }) => alive);
      const only = another === undefined ? owner?.name : undefined;
      // The name without the incarnation: the same consumer may have another one in each partition.
      return {
        partition,
        stream,
        owner: only?.slice(0, only.lastIndexOf(".")),
        lag,
        lagIsExact,
        pending,
        oldestUnsettled,
      };
    },
  );
}

/** The slowest group, if there are events beyond the retention. */
function pinnedBy(
  { length, bytes = 0, first, groups }: StreamState,
  { maxAge = Infinity, maxLength = Infinity, maxBytes = Infinity }: RetentionOptions = {},
): GroupState | undefined {
  const overdue = length > maxLength || bytes > maxBytes ||
    first !== undefined && positionTime(first) < Date.now() - maxAge;
  return overdue ? slowest(groups) : undefined;
}

/** The group with the oldest unsettled event; undefined if all groups have settled everything. */
function slowest(groups: readonly GroupState[]): GroupState | undefined {
  let found: GroupState | undefined;
  for (const group of groups) {
    if (group.floor === undefined) continue;
    if (found === undefined || comparePositions(group.floor, found.floor!) < 0) found = group;
  }
  return found;
}
