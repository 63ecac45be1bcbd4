import type { MemberOptions } from "./group_member.ts";

/** Which deferred deliveries a member may take. */
export interface Reach {
  /** The highest version that it understands. */
  readonly version: number;
  /** How long deliveries of higher versions wait for another member before this one takes them, in milliseconds. */
  readonly deferTimeout: number;
}

/** Returns the reach of a member with these options. */
export function reachOf(
  { version = 1, deferTimeout = Infinity }: Pick<MemberOptions, "version" | "deferTimeout">,
): Reach {
  return { version, deferTimeout };
}
