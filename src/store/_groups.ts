import { StoreError } from "./errors.ts";
import type { GroupState } from "./stream_admin.ts";

/** The error for a group that does not exist. It names the existing groups. */
export function unknownGroup(group: string, stream: string, existing: readonly string[]): RangeError {
  const why = existing.length === 0
    ? "no group exists; subscribe with this group first"
    : `the existing groups are ${existing.map((name) => `"${name}"`).join(", ")}; check the name`;
  return new RangeError(`Cannot find group "${group}" of ${stream}: ${why}`);
}

/** Throws `"group-busy"` if the group has live consumers, unsettled deliveries or dead letters: the message says which. */
export function assertIdle({ name, pending, deadLetters, consumers }: GroupState, stream: string): void {
  const alive = consumers.filter((consumer) => consumer.alive).map((consumer) => consumer.name);
  const obstacles = [
    alive.length > 0 && `live consumers (${alive.join(", ")})`,
    pending > 0 && `${pending} unsettled deliveries`,
    deadLetters > 0 && `${deadLetters} dead letters`,
  ].filter((obstacle) => obstacle !== false);
  if (obstacles.length === 0) return;
  throw new StoreError(
    "group-busy",
    `Cannot delete group "${name}" of ${stream}: it has ${obstacles.join(", ")}; pass force: true to delete them too`,
  );
}
