import type { MemberOptions } from "./group_member.ts";

/** What of the deferred a member is given. */
export interface Reach {
  /** The highest version that it knows. */
  readonly version: number;
  /** How long what it does not know waits for somebody else, in milliseconds. */
  readonly holdFor: number;
}

/** The reach of a member, by its options. */
export function reachOf({ version = 1, holdFor = Infinity }: Pick<MemberOptions, "version" | "holdFor">): Reach {
  return { version, holdFor };
}
