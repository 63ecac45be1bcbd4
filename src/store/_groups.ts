import { StoreError } from "./errors.ts";
import type { GroupState } from "./stream_admin.ts";

/** The error for a group that does not exist: it names those there are. */
export function unknownGroup(group: string, stream: string, existing: readonly string[]): RangeError {
  const known = existing.length === 0 ? "it has no groups" : `it has ${existing.map((name) => `"${name}"`).join(", ")}`;
  return new RangeError(`Cannot find group "${group}" of ${stream}: ${known}`);
}

/** Throws a {@linkcode StoreError} that names what a group would lose if it was removed now. */
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
    `Cannot delete group "${name}" of ${stream}: it has ${obstacles.join(", ")}; pass force: true to lose them`,
  );
}
