import { checkNumber, show } from "../events/_check.ts";

/** The largest number of partitions of a stream. */
export const MAX_PARTITIONS = 1_024;

// The table of CRC-32 as in IEEE 802.3, zlib and PNG: the polynomial 0xEDB88320, reflected.
const TABLE = Int32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? crc >>> 1 ^ 0xEDB88320 : crc >>> 1;
  return crc;
});
const UTF8 = new TextEncoder();

/**
 * Returns the partition of a subject, from 0: the CRC-32 of its UTF-8 bytes, modulo the number of partitions. A broker
 * stores the events of a subject in this partition. The CRC-32 is that of zlib, so every language has it: in Python,
 * `zlib.crc32(subject.encode()) % partitions`.
 *
 * @param subject The subject of an event.
 * @param partitions How many partitions the stream has.
 * @throws {TypeError} If the subject is no string.
 * @throws {RangeError} If `partitions` is no integer from 1 to 1,024.
 *
 * @example Find the partition of an auction
 * ```ts
 * import { partitionOf } from "@tidings/broker";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(partitionOf("auction-1", 8), 4);
 * assertEquals(partitionOf("Größe", 8), 5);
 * ```
 */
export function partitionOf(subject: string, partitions: number): number {
  if (typeof subject !== "string") {
    throw new TypeError(`Cannot find the partition of ${show(subject)}: give the subject of an event, a string`);
  }
  checkNumber("partitions", partitions, { min: 1, max: MAX_PARTITIONS, integer: true });
  return crc32(subject) % partitions;
}

/** The CRC-32 of a text's UTF-8 bytes, as an unsigned number. */
function crc32(text: string): number {
  let crc = -1;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code > 0x7F) return crc32OfBytes(UTF8.encode(text));
    crc = TABLE[(crc ^ code) & 0xFF]! ^ crc >>> 8;
  }
  return ~crc >>> 0;
}

function crc32OfBytes(bytes: Uint8Array): number {
  let crc = -1;
  for (const byte of bytes) crc = TABLE[(crc ^ byte) & 0xFF]! ^ crc >>> 8;
  return ~crc >>> 0;
}
