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

/** A live consumer that is in the way of another one. */
export interface Holder {
  /** Its name in the store. */
  readonly consumer: string;
  /** When its lease runs out, in milliseconds from now. */
  readonly expiresIn: number;
}

/**
 * The error for a consumer that cannot be in a group beside another one, because one of the two is exclusive.
 *
 * @param place The group and its stream, for the message: `group "g" of s`.
 * @param consumer The name of the consumer that is refused.
 * @param exclusive Whether this consumer is the exclusive one.
 * @param holder The consumer that is alive; undefined if it has left.
 */
export function occupied(place: string, consumer: string, exclusive: boolean, holder: Holder | undefined): StoreError {
  if (holder === undefined) {
    const why = "another consumer has joined since it was given up for dead; subscribe again";
    return new StoreError("occupied", `Cannot use ${place} as "${consumer}": ${why}`);
  }
  const { consumer: other, expiresIn } = holder;
  const why = exclusive
    ? `it wants the group for itself, and ${other} is alive there for another ${expiresIn} ms`
    : `${other} has the group for itself for another ${expiresIn} ms`;
  return new StoreError(
    "occupied",
    `Cannot join ${place} as "${consumer}": ${why}; close that consumer, or wait for the end of its lease`,
    { holder: other, expiresIn },
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
