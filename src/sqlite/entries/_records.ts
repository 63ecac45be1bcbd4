import { Buffer } from "node:buffer";
import type { Fields, Position, StoredRecord } from "../../store/mod.ts";

/** A position, as the tables store it. */
export interface Place {
  readonly ms: number;
  readonly seq: number;
}

/** An entry, as the tables store it. */
export interface EntryRow extends Place {
  /** Its number in the stream. */
  readonly n: number;
  readonly id: string | null;
  readonly payload: string | null;
  readonly fields: string | null;
}

/** Splits a position. Parts above the largest safe integer become that integer; no entry of this store has such parts. */
export function placeOf(position: Position): Place {
  const dash = position.indexOf("-");
  const part = (digits: string) => Math.min(Number(digits), Number.MAX_SAFE_INTEGER);
  return { ms: part(position.slice(0, dash)), seq: part(position.slice(dash + 1)) };
}

/** The reverse of {@linkcode placeOf}. */
export function positionOf({ ms, seq }: Place): Position {
  return `${ms}-${seq}`;
}

/**
 * Returns the columns `id`, `payload` and `fields` of an entry. An entry that begins with an id and a payload has them in
 * their own columns, where people find them, and its remaining fields as JSON. Any other entry has all its fields as JSON.
 */
export function encodeFields(fields: Fields): [id: string | null, payload: string | null, fields: string | null] {
  const [first, id, second, payload] = fields;
  if (first === "id" && second === "payload" && isText(id) && isText(payload)) {
    return [id, payload, fields.length === 4 ? null : JSON.stringify(fields.slice(4))];
  }
  return [null, null, JSON.stringify(fields)];
}

/** The size of an entry: of the columns that hold it, in bytes. `ROW_SIZE` is the same in SQL. */
export function rowSize(columns: readonly (string | null)[]): number {
  let size = 0;
  for (const text of columns) if (text !== null) size += Buffer.byteLength(text);
  return size;
}

// A text column keeps neither NUL nor a lone surrogate; JSON escapes both.
function isText(value: string | undefined): value is string {
  return value !== undefined && !value.includes("\0") && value.isWellFormed();
}

/** The reverse of {@linkcode encodeFields}. */
export function decodeFields({ id, payload, fields }: Pick<EntryRow, "id" | "payload" | "fields">): Fields {
  const rest: readonly string[] = fields === null ? [] : JSON.parse(fields);
  return id === null ? rest : ["id", id, "payload", payload!, ...rest];
}

/** Converts an entry to a record of the port. */
export function toRecord(row: EntryRow): StoredRecord {
  return { position: positionOf(row), fields: decodeFields(row) };
}
