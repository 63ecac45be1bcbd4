import { occupied, termsDiffer } from "../store/_groups.ts";
import { type MemberOptions, StoreError, type WhenDead } from "../store/mod.ts";

/** The store error for NAMETAKEN, OCCUPIED, TERMSDIFFER or GROUPDELETED of a script; any other error unchanged. */
export function groupError(
  error: unknown,
  stream: string,
  group: string,
  { consumer, exclusive = false, ...own }: Pick<MemberOptions, "consumer" | "types" | "whenDead" | "exclusive">,
): unknown {
  const message = error instanceof Error ? error.message : "";
  if (message.includes("GROUPDELETED")) {
    return new StoreError(
      "group-deleted",
      `Cannot use group "${group}" of ${stream}: it was deleted; subscribe again to make it anew`,
      {
        cause: error,
      },
    );
  }
  const differ = /TERMSDIFFER (\S+) ?(.*)/.exec(message);
  if (differ !== null) {
    const [, whenDead, types] = differ;
    return termsDiffer(
      group,
      stream,
      { whenDead: whenDead as WhenDead, ...(types && { types: types.split(" ") }) },
      own,
    );
  }
  const beside = /OCCUPIED (\S+) (\d+)/.exec(message);
  if (beside !== null) {
    const [, other, left] = beside;
    const holder = other === "-" ? undefined : { consumer: other!, expiresIn: Number(left) };
    return occupied(`group "${group}" of ${stream}`, consumer, exclusive, holder);
  }
  const taken = /NAMETAKEN (\S+)\.(\S+) (\d+)/.exec(message);
  if (taken === null) return error;
  const [, name, incarnation, left] = taken;
  return new StoreError(
    "name-taken",
    `Cannot join group "${group}" of ${stream} as "${name}": ${name}.${incarnation} is alive under that name for ` +
      `another ${left} ms; close it, or take another name`,
    { cause: error, holder: `${name}.${incarnation}`, expiresIn: Number(left) },
  );
}
