/** The largest size of a shared text, in bytes of UTF-8. */
const MOST_BYTES = 65_536;

const encoder = new TextEncoder();

/** Throws a RangeError if a shared text is too large. */
export function assertTextSize(stream: string, name: string, text: string | undefined): void {
  // A unit of UTF-16 has at most three bytes in UTF-8.
  if (text === undefined || text.length * 3 <= MOST_BYTES) return;
  const bytes = encoder.encode(text).length;
  if (bytes <= MOST_BYTES) return;
  throw new RangeError(
    `Cannot write state "${name}" of ${stream}: the text has ${bytes} bytes, and at most ${MOST_BYTES} are allowed; ` +
      "shorten it",
  );
}

/**
 * The version that follows. It is at least the time, so that a version is not used twice even where the state was lost
 * in between, for example by a failover.
 */
export function nextVersion(version: number, now: number): number {
  return Math.max(version + 1, now);
}
