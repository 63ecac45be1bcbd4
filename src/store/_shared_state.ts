/** The largest size of a shared text, in bytes of UTF-8. */
const MOST_BYTES = 65_536;

/** The largest size of the control of a group, in bytes of UTF-8. */
const MOST_CONTROL_BYTES = 4_096;

const encoder = new TextEncoder();

/** Throws a RangeError if a shared text is too large. */
export function assertTextSize(stream: string, name: string, text: string | undefined): void {
  assertSize(() => `state "${name}" of ${stream}`, text, MOST_BYTES);
}

/** Throws a RangeError if the control of a group is too large. */
export function assertControlSize(stream: string, group: string, text: string | undefined): void {
  assertSize(() => `the control of group "${group}" of ${stream}`, text, MOST_CONTROL_BYTES);
}

function assertSize(subject: () => string, text: string | undefined, most: number): void {
  // A unit of UTF-16 has at most three bytes in UTF-8.
  if (text === undefined || text.length * 3 <= most) return;
  const bytes = encoder.encode(text).length;
  if (bytes <= most) return;
  throw new RangeError(
    `Cannot write ${subject()}: the text has ${bytes} bytes, and at most ${most} are allowed; shorten it`,
  );
}

/**
 * The version that follows. It is at least the time, so that a version is not used twice even where the state was lost
 * in between, for example by a failover.
 */
export function nextVersion(version: number, now: number): number {
  return Math.max(version + 1, now);
}
