import type { DomainEvent } from "../../events/mod.ts";
import { sizeOf } from "../../store/_size.ts";
import type { Fields, When } from "../../store/mod.ts";
import type { ExpectedRevision } from "./_expected_revision.ts";
import { MAX_BATCH, MAX_BATCH_BYTES } from "./_stream_publisher.ts";

// A larger event would delay all events behind it.
const MAX_EVENT_BYTES = 16 * 2 ** 20;

/** Events of one stream, encoded and measured. */
export interface Encoded {
  readonly stream: string;
  readonly events: readonly DomainEvent[];
  readonly records: readonly Fields[];
  /** The size of the records, in bytes; a character counts as one byte. */
  readonly bytes: number;
  /** When the publish times out, by `performance.now()`. */
  readonly deadline: number;
  readonly expected: ExpectedRevision | undefined;
  readonly when: When | undefined;
}

/** How to encode the events of a call. */
export interface Encoding {
  readonly deadline: number;
  readonly expected: ExpectedRevision | undefined;
  readonly when: When | undefined;
  encode(event: DomainEvent): Fields;
}

/**
 * Encodes events of one stream.
 *
 * @throws {RangeError} If they are too many or too large for one publish.
 */
export function encodeAll(
  stream: string,
  events: readonly DomainEvent[],
  { deadline, expected, when, encode }: Encoding,
): Encoded {
  const records = events.map(encode);
  const bytes = records.reduce((sum, fields) => sum + sizeOf(fields), 0);
  checkSize(stream, events.length, bytes);
  return { stream, events, records, bytes, deadline, expected, when };
}

function checkSize(stream: string, count: number, bytes: number): void {
  if (count > MAX_BATCH) {
    throw new RangeError(
      `Cannot publish ${count} events to ${stream} at once: at most ${MAX_BATCH} fit a batch; publish smaller arrays`,
    );
  }
  const most = count === 1 ? MAX_EVENT_BYTES : MAX_BATCH_BYTES;
  if (bytes <= most) return;
  throw new RangeError(
    count === 1
      ? `Cannot publish an event of ${bytes} bytes to ${stream}: at most ${most} are allowed; store the data elsewhere, ` +
        `and publish where it is`
      : `Cannot publish ${bytes} bytes to ${stream} at once: at most ${most} fit a batch; publish smaller arrays`,
  );
}
