import { reasonOf } from "../../../events/_check.ts";
import { isInstance } from "../../../events/_foreign.ts";
import type { EventStore, GroupMember, RateLimit, SharedState } from "../../../store/mod.ts";
import type { StreamLayout } from "../../partitions/_stream_layout.ts";
import { type Control, controlText, parseControl, pauseAt } from "./_control.ts";

/** A group, in all partitions of its stream. */
export interface ControlledGroup {
  readonly store: EventStore;
  readonly stream: string;
  /** Undefined for a stream that never has partitions. */
  readonly layout: StreamLayout | undefined;
  readonly group: string;
}

/** The new control of a group, from the one before and the time of the store; undefined if it stays as it is. */
export type ControlChange = (control: Control, now: number) => Control | undefined;

/**
 * Changes the control of a group, in all partitions or in none where the group does not exist. Resolves with whether anything
 * changed.
 *
 * @param action What is done, for errors: `pause group "g" of s`.
 * @throws {RangeError} If there is no such group.
 */
export async function changeControl(
  { store, stream, layout, group }: ControlledGroup,
  action: string,
  change: ControlChange,
): Promise<boolean> {
  await layout?.check();
  const streams = layout?.streams ?? [stream];
  const controls = streams.map((name) => store.admin(name).control(group));
  // The group is looked up everywhere first.
  const there = await Promise.allSettled(controls.map((control) => control.read()));
  const failure = there.find(({ status, reason }: { status: string; reason?: unknown }) =>
    status === "rejected" && !isInstance(reason, RangeError)
  );
  if (failure !== undefined) throw (failure as PromiseRejectedResult).reason;
  const missing = controls.filter((_, nth) => there[nth]!.status === "rejected");
  if (missing.length === controls.length) throw (there[0] as PromiseRejectedResult).reason;
  const found = controls.filter((_, nth) => there[nth]!.status === "fulfilled");
  const results = await Promise.allSettled(found.map((control) => changeOne(control, change)));
  const failed = results.filter((result) => result.status === "rejected");
  if (failed.length === results.length) throw failed[0]!.reason;
  if (failed.length > 0) {
    throw new AggregateError(
      failed.map(({ reason }) => reason as unknown),
      `Cannot ${action} in ${failed.length} of ${results.length} partitions: ${
        reasonOf(failed[0]!.reason)
      }; the other ` +
        "partitions are done: call it again",
    );
  }
  // Consumers may have joined the group in new partitions meanwhile, and copied the control from before.
  for (const control of missing) await changeOne(control, change).catch(ignoreMissing);
  return results.some((result) => result.status === "fulfilled" && result.value);
}

function ignoreMissing(error: unknown): void {
  if (!isInstance(error, RangeError)) throw error;
}

async function changeOne(state: SharedState, change: ControlChange): Promise<boolean> {
  for (;;) {
    const { text, version, now } = await state.read();
    const next = change(parseControl(text), now);
    if (next === undefined) return false;
    if (await state.write(controlText(next), version)) return true;
  }
}

/** Pauses a group. A pause without an end, or with a later one, replaces one with an end. */
export function pausing(reason: string | undefined, duration?: number): ControlChange {
  // The same in all partitions.
  let since: number | undefined;
  return (control, now) => {
    const before = pauseAt(control, now);
    if (before !== undefined) {
      const until = duration === undefined ? Infinity : now + duration;
      if (before.until === undefined || before.until >= until) return undefined;
    }
    return {
      ...control,
      paused: {
        since: since ??= now,
        ...(duration !== undefined && { until: since + duration }),
        ...(reason !== undefined && { reason }),
      },
    };
  };
}

/** Ends the pause of a group. */
export const resuming: ControlChange = (control, now) => {
  if (pauseAt(control, now) === undefined) return undefined;
  const { paused: _, ...rest } = control;
  return rest;
};

/** Gives a group a limit that replaces those of its subscriptions, or takes it away. */
export function limiting(rate: RateLimit | undefined): ControlChange {
  return (control) => {
    if (isSameRate(control.rate, rate)) return undefined;
    const { rate: _, ...rest } = control;
    return { ...rest, ...(rate && { rate }) };
  };
}

function isSameRate(one: RateLimit | undefined, other: RateLimit | undefined): boolean {
  return one?.limit === other?.limit && one?.per === other?.per && (one?.burst ?? 1) === (other?.burst ?? 1);
}

/**
 * Gives the group in a partition that is new to it the control that it has in the stream from before. If that fails, the member
 * that has joined there leaves.
 */
export async function inheritControl(
  { store, layout, group }: { readonly store: EventStore; readonly layout: StreamLayout; readonly group: string },
  stream: string,
  member: GroupMember,
): Promise<void> {
  // Only a change of the number of partitions adds some to a group.
  const [first] = layout.streams;
  if (layout.layouts.length < 2 || first === undefined || first === stream) return;
  try {
    if ((await member.control()).version !== 0) return;
    const { text } = await store.admin(first).control(group).read();
    if (text !== undefined) await store.admin(stream).control(group).write(text, 0);
  } catch (error) {
    if (isInstance(error, RangeError)) return;
    await member.leave().catch(() => {});
    throw error;
  }
}
