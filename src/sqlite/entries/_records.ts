import type { Fields, Position, StoredRecord } from "../../store/mod.ts";

/** A position as the tables keep it. */
export interface Place {
  readonly ms: number;
  readonly seq: number;
}

/** An entry as the tables keep it. */
export interface EntryRow extends Place {
  readonly n: number;
  readonly id: string | null;
  readonly payload: string | null;
  readonly fields: string | null;
}

/** Splits a position. Parts that no entry of this store can have become the largest number there is. */
export function placeOf(position: Position): Place {
  const dash = position.indexOf("-");
  const part = (digits: string) => Math.min(Number(digits), Number.MAX_SAFE_INTEGER);
  return { ms: part(position.slice(0, dash)), seq: part(position.slice(dash + 1)) };
}

/** Joins a position. */
export function positionOf({ ms, seq }: Place): Position {
  return `${ms}-${seq}`;
}

/**
 * The columns `id`, `payload` and `fields` of an entry. One that begins with an id and a payload has them where people
 * find them, and the remaining fields as JSON; any other has all its fields as JSON.
 */
export function encodeFields(fields: Fields): [id: string | null, payload: string | null, fields: string | null] {
  const [first, id, second, payload] = fields;
  if (first === "id" && second === "payload" && isText(id) && isText(payload)) {
    return [id, payload, fields.length === 4 ? null : JSON.stringify(fields.slice(4))];
  }
  return [null, null, JSON.stringify(fields)];
}

// Neither NUL nor half a surrogate pair survives in a column of text; JSON escapes both.
function isText(value: string | undefined): value is string {
  return value !== undefined && !value.includes("\0") && value.isWellFormed();
}

/** The fields that {@linkcode encodeFields} was given. */
export function decodeFields({ id, payload, fields }: Pick<EntryRow, "id" | "payload" | "fields">): Fields {
  const rest: readonly string[] = fields === null ? [] : JSON.parse(fields);
  return id === null ? rest : ["id", id, "payload", payload!, ...rest];
}

/** An entry as the port has it. */
export function toRecord(row: EntryRow): StoredRecord {
  return { position: positionOf(row), fields: decodeFields(row) };
}
