import { StoreError } from "./errors.ts";
import type { MemberOptions, WhenDead } from "./group_member.ts";
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

/** What all consumers of a group agree on. */
export type GroupTerms = Pick<MemberOptions, "types" | "whenDead">;

/** Whether a consumer agrees with its group. */
export function haveSameTerms(kept: GroupTerms, own: GroupTerms): boolean {
  return haveSameTypes(kept, own) && whenDeadOf(kept) === whenDeadOf(own);
}

function haveSameTypes(kept: GroupTerms, own: GroupTerms): boolean {
  return kept.types?.join(" ") === own.types?.join(" ");
}

function whenDeadOf({ whenDead = "continue" }: GroupTerms): WhenDead {
  return whenDead;
}

/** Throws `"types-differ"` or `"policy-differs"` unless a consumer agrees with its group. */
export function assertTerms(group: string, stream: string, kept: GroupTerms, own: GroupTerms): void {
  if (!haveSameTerms(kept, own)) throw termsDiffer(group, stream, kept, own);
}

/** The error for a consumer that does not agree with its group; it names both sides. */
export function termsDiffer(group: string, stream: string, kept: GroupTerms, own: GroupTerms): StoreError {
  return haveSameTypes(kept, own)
    ? policyDiffers(group, stream, whenDeadOf(kept), whenDeadOf(own))
    : typesDiffer(group, stream, kept.types, own.types);
}

function typesDiffer(
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

function policyDiffers(group: string, stream: string, kept: WhenDead, own: WhenDead): StoreError {
  return new StoreError(
    "policy-differs",
    `Cannot join group "${group}" of ${stream} with whenDead "${own}": the group has "${kept}"; use that in all consumers, ` +
      `or change it by alterGroup`,
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
