import { StoreError } from "./errors.ts";
import type { ConsumerState, GroupState } from "./stream_admin.ts";

/** The error for a group that does not exist. It names the existing groups. */
export function unknownGroup(group: string, stream: string, existing: readonly string[]): RangeError {
  const why = existing.length === 0
    ? "no group exists; subscribe with this group first"
    : `the existing groups are ${existing.map((name) => `"${name}"`).join(", ")}; check the name`;
  return new RangeError(`Cannot find group "${group}" of ${stream}: ${why}`);
}

/** Throws `"group-busy"` if the group has live consumers: they would skip entries of the new types. */
export function assertAlterable(
  { name, consumers }: { readonly name: string; readonly consumers: readonly Pick<ConsumerState, "name" | "alive">[] },
  stream: string,
): void {
  const alive = consumers.filter((consumer) => consumer.alive).map((consumer) => consumer.name);
  if (alive.length === 0) return;
  throw new StoreError(
    "group-busy",
    `Cannot alter group "${name}" of ${stream}: it has live consumers (${alive.join(", ")}); close them first`,
  );
}

/** Whether a group is for exactly the types that a consumer handles. */
export function haveSameTypes(kept: readonly string[] | undefined, own: readonly string[] | undefined): boolean {
  return kept?.join(" ") === own?.join(" ");
}

/** Throws `"types-differ"` unless a consumer handles exactly the types that its group is for. */
export function assertTypes(
  group: string,
  stream: string,
  kept: readonly string[] | undefined,
  own: readonly string[] | undefined,
): void {
  if (!haveSameTypes(kept, own)) throw typesDiffer(group, stream, kept, own);
}

/** The error for a consumer that handles other types than its group is for; it names both. */
export function typesDiffer(
  group: string,
  stream: string,
  kept: readonly string[] | undefined,
  own: readonly string[] | undefined,
): StoreError {
  return new StoreError(
    "types-differ",
    `Cannot join group "${group}" of ${stream} for ${shown(own)}: the group is for ${
      shown(kept)
    }; choose another group, or ` +
      `change its types by alterGroup`,
  );
}

function shown(types: readonly string[] | undefined): string {
  return types === undefined ? "the stream's own type" : types.join(", ");
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
