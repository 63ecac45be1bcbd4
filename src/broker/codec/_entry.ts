import { isPrintable, MAX_ID_LENGTH, NO_EXTENSIONS } from "../../events/_state.ts";
import type { Fields } from "../../store/mod.ts";
import { unwrapped } from "./_cloud_event.ts";
import { type Entry, expiryOf } from "./_entry_fields.ts";

const NAMES = new Set<string>(
  "id payload type version time source subject correlationid causationid traceparent ext".split(" "),
);
const REVISION = /^[1-9]\d{0,15}$/;
const SCHEDULED = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;
const TEXTS = ["source", "subject", "correlationid", "causationid", "traceparent"] as const;

/**
 * Reads the fields of an entry of this type, in any order. Throws a TypeError that says what is wrong with the entry, and
 * quotes nothing of the payload if `isSensitive`.
 */
export function readEntry(fields: Fields, type: string, isSensitive: boolean): Entry {
  // The fast path: nearly every entry has exactly these two fields.
  if (fields.length === 4 && fields[0] === "id" && fields[2] === "payload") {
    return { id: checkedId(fields[1]!), payload: fields[3]! };
  }
  const entry = unwrapped(sortedFields(fields), type, isSensitive);
  if (entry.id !== undefined) checkedId(entry.id);
  for (const name of TEXTS) {
    const text = entry[name];
    if (text === "") delete entry[name];
    else if (text !== undefined && !isPrintable(text)) {
      throw new TypeError(`its ${name} holds a control character or a lone surrogate`);
    }
  }
  return entry;
}

function sortedFields(fields: Fields): Entry {
  if (fields.length % 2 !== 0) throw new TypeError("its last field has no value");
  const entry: Entry = {};
  const unknown: Record<string, string> = Object.create(null);
  for (let at = 0; at < fields.length; at += 2) {
    const name = fields[at]!;
    const target = NAMES.has(name) ? entry as Record<string, string> : unknown;
    if (Object.hasOwn(target, name)) {
      // The order of fields has no meaning, so neither of the two can be preferred.
      throw new TypeError(`it has the field ${JSON.stringify(name.slice(0, 60))} twice`);
    }
    target[name] = fields[at + 1]!;
  }
  if (REVISION.test(unknown.revision ?? "")) {
    entry.revision = Number(unknown.revision);
    delete unknown.revision;
    // A store adds it to a revision, for itself.
    delete unknown.previous;
  }
  // A store adds it to an entry that was scheduled.
  if (unknown.scheduledfor !== undefined && SCHEDULED.test(unknown.scheduledfor)) {
    entry.scheduledfor = unknown.scheduledfor;
    delete unknown.scheduledfor;
  }
  // A field of that name without a time belongs to another program.
  const expires = expiryOf(unknown.expires);
  if (expires !== undefined) {
    entry.expires = expires;
    delete unknown.expires;
  }
  entry.unknown = Object.keys(unknown).length === 0 ? NO_EXTENSIONS : Object.freeze(unknown);
  return entry;
}

function checkedId(id: string): string {
  if (id !== "" && id.length <= MAX_ID_LENGTH && isPrintable(id)) return id;
  const why = id === ""
    ? "is empty"
    : id.length > MAX_ID_LENGTH
    ? `has ${id.length} characters, more than ${MAX_ID_LENGTH}`
    : "holds a control character or a lone surrogate";
  throw new TypeError(`its id ${why}`);
}

/** Fields by name, to be shown. The object has no prototype, so that no name has a special meaning. */
export function rawFields(fields: Fields): Readonly<Record<string, string>> {
  const raw: Record<string, string> = Object.create(null);
  for (let at = 0; at < fields.length; at += 2) raw[fields[at]!] = fields[at + 1] ?? "";
  return Object.freeze(raw);
}
