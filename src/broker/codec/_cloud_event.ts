import { isExtension, NO_EXTENSIONS } from "../../events/_state.ts";
import type { Fields } from "../../store/mod.ts";
import { type Entry, expiryOf } from "./_entry_fields.ts";
import { parseJson } from "./_json.ts";

type Envelope = Readonly<Record<string, unknown>>;

const ATTRIBUTES = ["id", "time", "source", "subject", "correlationid", "causationid", "traceparent"] as const;
// Attributes that are neither extensions nor unknown fields: they are read by name, or belong to the envelope alone. The
// position and the revision of another stream have no meaning here.
const OUTER = new Set([
  "specversion",
  "type",
  "data",
  "datacontenttype",
  "position",
  "revision",
  "version",
  ...ATTRIBUTES,
]);

/**
 * The entry inside a CloudEvent in the structured JSON format, or the entry itself when its payload is no CloudEvent.
 *
 * A payload is a CloudEvent if it is an object with `specversion` "1.0" and a `type`, in an entry without an `id`: entries
 * of this package always have an id, so a detail that looks like a CloudEvent stays a detail. An entry whose field
 * `content-type` says that it is a CloudEvent must be one.
 */
export function unwrapped(entry: Entry, type: string, isSensitive: boolean): Entry {
  const { payload, id } = entry;
  const declared = /^application\/cloudevents\+json\b/i.test(entry.unknown?.["content-type"] ?? "");
  if (payload === undefined || !declared && (id !== undefined || !payload.includes('"specversion"'))) return entry;
  const envelope = parseJson("its payload", payload, isSensitive);
  if (isEnvelope(envelope)) return inside(envelope, entry, type);
  if (declared) {
    throw new TypeError(
      "its content-type says that it is a CloudEvent, but its payload is no CloudEvent of version 1.0",
    );
  }
  return entry;
}

/** The type inside a CloudEvent in the structured JSON format; undefined for any other entry. */
export function cloudEventType(fields: Fields): string | undefined {
  let payload: string | undefined;
  for (let at = 0; at < fields.length; at += 2) {
    if (fields[at] === "id") return undefined;
    if (fields[at] === "payload") payload = fields[at + 1];
  }
  if (!payload?.includes('"specversion"')) return undefined;
  try {
    const envelope = parseJson("its payload", payload);
    return isEnvelope(envelope) ? String(envelope.type) : undefined;
  } catch {
    // Decoding the entry tells what is wrong.
    return undefined;
  }
}

function isEnvelope(value: unknown): value is Envelope {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  const { specversion, type } = value as Envelope;
  return specversion === "1.0" && typeof type === "string";
}

function inside(envelope: Envelope, entry: Entry, type: string): Entry {
  if (envelope.type !== type) {
    throw new TypeError(
      `it is a CloudEvent of type ${JSON.stringify(String(envelope.type).slice(0, 60))}, not ${JSON.stringify(type)}`,
    );
  }
  if (Object.hasOwn(envelope, "data_base64")) {
    throw new TypeError("it is a CloudEvent with data_base64, and only JSON in data is read");
  }
  const found: Entry = { ...entry, payload: JSON.stringify(envelope.data ?? null) };
  for (const name of ATTRIBUTES) {
    const value = attribute(envelope, name);
    if (value !== undefined) found[name] ??= value;
  }
  // A CloudEvent without a version is version 1, and not an entry of the Python predecessor.
  found.version ??= String(envelope.version ?? 1);
  const [extensions, unknown] = otherAttributes(envelope, entry);
  const expires = expiryOf(unknown.expires);
  if (expires !== undefined) {
    found.expires = expires;
    delete unknown.expires;
  }
  if (Object.keys(extensions).length > 0) found.ext = JSON.stringify(extensions);
  found.unknown = Object.keys(unknown).length === 0 ? NO_EXTENSIONS : Object.freeze(unknown);
  return found;
}

/** An attribute with a text; undefined if it is absent or null, which mean the same in CloudEvents. */
function attribute(envelope: Envelope, name: string): string | undefined {
  const value = envelope[name];
  if (value === undefined || value === null || !Object.hasOwn(envelope, name)) return undefined;
  if (typeof value === "string") return value;
  throw new TypeError(`it is a CloudEvent whose ${name} is not a string`);
}

/** All other attributes: extensions if their names allow it, and unknown fields otherwise. */
function otherAttributes(envelope: Envelope, entry: Entry): [Record<string, string>, Record<string, string>] {
  const extensions: Record<string, unknown> = Object.create(null);
  const unknown: Record<string, string> = Object.assign(Object.create(null), entry.unknown);
  for (const [name, value] of Object.entries(envelope)) {
    if (OUTER.has(name) || value === null) continue;
    const text = typeof value === "string" ? value : JSON.stringify(value);
    if (isExtension(name)) extensions[name] = text;
    else unknown[name] ??= text;
  }
  const own = entry.ext === undefined ? undefined : parseJson("its ext", entry.ext);
  return [Object.assign(extensions, own) as Record<string, string>, unknown];
}
