import type { MemberOptions } from "./group_member.ts";

/** What of the deferred a member is given. */
export interface Reach {
  /** The highest version that it knows. */
  readonly version: number;
  /** How long what it does not know waits for somebody else, in milliseconds. */
  readonly deferTimeout: number;
}

/** The reach of a member, by its options. */
export function reachOf(
  { version = 1, deferTimeout = Infinity }: Pick<MemberOptions, "version" | "deferTimeout">,
): Reach {
  return { version, deferTimeout };
}
