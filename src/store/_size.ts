import type { Fields } from "./event_store.ts";

/** The size of an entry: its names and values, in characters. A character counts as one byte, so that nothing is encoded. */
export function sizeOf(fields: Fields): number {
  let size = 0;
  for (const field of fields) size += field.length;
  return size;
}
