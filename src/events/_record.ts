import { extractTimestamp, generate, validate } from "@std/uuid/v7";
import { checkKeys, show } from "./_check.ts";
import { isInstance, timeIn } from "./_foreign.ts";
import type { DomainEventInit } from "./domain_event_init.ts";

/** The key under which a record refers to itself. A user's constructor may pass on a copy of the record, which keeps it. */
const STORED: unique symbol = Symbol("stored");

/** The extensions of an event without extensions. */
export const NO_EXTENSIONS: Readonly<Record<string, string>> = Object.freeze(Object.create(null));
const INIT_KEYS = [
  "id",
  "time",
  "source",
  "subject",
  "correlationId",
  "causationId",
  "traceparent",
  "extensions",
  "expires",
];
/** How many characters the id of an event may have. */
export const MAX_ID_LENGTH = 256;
// CloudEvents allows no control characters and no lone surrogates in a string.
const UNPRINTABLE = /[\p{Cc}\p{Cs}]/u;
const EXTENSION_NAME = /^[a-z0-9]{1,20}$/;
// The attributes of CloudEvents, and the fields of a stored entry, which extensions must not shadow.
const RESERVED_EXTENSIONS = new Set(
  ("id source type specversion time subject datacontenttype dataschema data correlationid causationid traceparent " +
    "version payload ext position revision scheduledfor expires").split(" "),
);
// The first time, in ms, that does not fit into the 48 bits of a UUIDv7.
const UUID_TIME_LIMIT = 2 ** 48;

// The time of the last UUIDv7, and the text at the start of its UUIDs: 48 bits of time, and four bits of version.
let lastMs = -1;
let prefix = "";

/**
 * Everything of an event except its type and detail. The codec makes a record from a stored entry, and passes it as `init` to
 * the event's class, which does not check it again.
 */
export class EventRecord {
  readonly [STORED]: EventRecord = this;
  readonly id: string;
  /** The time in milliseconds since the epoch; undefined if it is the time in the UUIDv7 `id`. */
  ms: number | undefined = undefined;
  position: `${number}-${number}` | undefined = undefined;
  revision: number | undefined = undefined;
  /** When it was due, in milliseconds since the epoch. */
  scheduledFor: number | undefined = undefined;
  /** Until when it is handled, in milliseconds since the epoch. */
  expires: number | undefined = undefined;
  source: string | undefined = undefined;
  subject: string | undefined = undefined;
  correlationId: string | undefined = undefined;
  causationId: string | undefined = undefined;
  traceparent: string | undefined = undefined;
  /** Frozen and without a prototype, as `checkExtensions` returns it. */
  extensions: Readonly<Record<string, string>> = NO_EXTENSIONS;
  /** Fields of the stored entry that this package does not know: frozen and without a prototype. */
  unknownFields: Readonly<Record<string, string>> = NO_EXTENSIONS;

  constructor(id: string) {
    this.id = id;
  }
}

/** The record of an init: the record that the codec made, or a checked copy of the values that the user gave. */
export function recordOf(init: DomainEventInit | undefined): EventRecord {
  if (init === undefined) return new EventRecord(uuidv7());
  return storedIn(init) ?? checkedRecord(init);
}

/** The record that the codec made, if the init is that record or a copy of it. */
export function storedIn(init: DomainEventInit | undefined): EventRecord | undefined {
  return (init as Partial<EventRecord> | undefined)?.[STORED];
}

/** When an event happened, in milliseconds since the epoch. */
export function timeOf({ id, ms, position }: EventRecord): number {
  if (ms !== undefined) return ms;
  // An entry of another program may have neither. Then the position gives the time, by the clock of the store.
  return validate(id) ? extractTimestamp(id) : Number.parseInt(position ?? "");
}

function checkedRecord(init: DomainEventInit): EventRecord {
  checkKeys("construct an event", init, INIT_KEYS);
  if (init.id !== undefined) checkId(init.id);
  const record = identify(init.id, init.time === undefined ? undefined : checkedTime(init.time));
  record.source = checkedText("source", init.source);
  record.subject = checkedText("subject", init.subject);
  record.correlationId = checkedText("correlationId", init.correlationId);
  record.causationId = checkedText("causationId", init.causationId);
  record.traceparent = checkedText("traceparent", init.traceparent);
  if (init.expires !== undefined) record.expires = checkedExpiry(init.expires, record);
  if (init.extensions !== undefined) record.extensions = checkExtensions(init.extensions);
  return record;
}

// If possible, the id contains the time, so that a store need not keep it twice.
function identify(id: string | undefined, ms: number | undefined): EventRecord {
  const isUuidTime = ms === undefined || ms >= 0 && ms < UUID_TIME_LIMIT;
  const record = new EventRecord(id ?? uuidv7(isUuidTime ? ms : undefined));
  const idTime = validate(record.id) ? extractTimestamp(record.id) : undefined;
  const time = ms ?? idTime ?? Date.now();
  if (time !== idTime) record.ms = time;
  return record;
}

function checkId(id: unknown): void {
  if (typeof id !== "string" || id === "" || id.length > MAX_ID_LENGTH || UNPRINTABLE.test(id)) {
    throw new TypeError(
      `Cannot use ${
        show(id)
      } as the id of an event: give 1 to ${MAX_ID_LENGTH} characters without control characters ` +
        `or lone surrogates, or leave it out for a UUIDv7`,
    );
  }
}

function checkedTime(time: unknown): number {
  const ms = timeIn(time);
  if (!Number.isNaN(ms)) return ms;
  throw new TypeError(
    `Cannot use ${isInstance(time, Date) ? "an invalid Date" : show(time)} as the time of an event: give a valid Date`,
  );
}

// The last moment whose year has four digits.
const LATEST = Date.UTC(10_000, 0) - 1;

function checkedExpiry(expires: unknown, record: EventRecord): number {
  const ms = typeof expires === "number" && expires >= 0 ? timeOf(record) + expires : timeIn(expires);
  if (ms >= 0 && ms <= LATEST) return Math.floor(ms);
  throw new TypeError(
    `Cannot use ${
      isInstance(expires, Date) ? String(expires) : show(expires)
    } as the end of an event: give a Date from 1970 ` +
      `to 9999, or milliseconds after the event's time`,
  );
}

function checkedText(name: string, text: unknown): string | undefined {
  if (text === undefined || isText(text)) return text;
  throw new TypeError(
    `Cannot use ${show(text)} as the ${name} of an event: give a non-empty string without control characters or lone ` +
      `surrogates, or leave it out`,
  );
}

/** A frozen copy of extension attributes, without a prototype. Throws a TypeError if they break the rules of CloudEvents. */
export function checkExtensions(extensions: unknown): Readonly<Record<string, string>> {
  if (typeof extensions !== "object" || extensions === null || Array.isArray(extensions)) {
    throw new TypeError(`Cannot use ${show(extensions)} as the extensions of an event: give an object of strings`);
  }
  const copy: Record<string, string> = Object.create(null);
  for (const [name, value] of Object.entries(extensions)) {
    const fault = extensionFault(name, value);
    if (fault !== undefined) throw new TypeError(`Cannot use the extension ${show(name)} of an event: ${fault}`);
    copy[name] = value;
  }
  return Object.freeze(copy);
}

/** Whether extension attributes may have this name. */
export function isExtension(name: string): boolean {
  return EXTENSION_NAME.test(name) && !RESERVED_EXTENSIONS.has(name);
}

/** Whether the value is a non-empty string that CloudEvents allows. */
export function isText(value: unknown): value is string {
  return typeof value === "string" && value !== "" && isPrintable(value);
}

/** Whether CloudEvents allows this text. */
export function isPrintable(text: string): boolean {
  return !UNPRINTABLE.test(text);
}

function extensionFault(name: string, value: unknown): string | undefined {
  if (!EXTENSION_NAME.test(name)) return "give a name of 1 to 20 lower-case letters and digits";
  if (RESERVED_EXTENSIONS.has(name)) return "that name is reserved; give another";
  return typeof value === "string" ? undefined : `its value is ${show(value)}; give a string`;
}

/**
 * A new UUIDv7. The first part of a random UUID of the platform is replaced by the time, because the platform formats a UUID
 * much faster than JavaScript can.
 *
 * @param ms The time in the UUID, in milliseconds since the epoch.
 */
function uuidv7(ms: number = Date.now()): string {
  // A web page in an insecure context has no crypto.randomUUID().
  if (crypto.randomUUID === undefined) return generate(ms);
  if (ms !== lastMs) {
    const hex = ms.toString(16).padStart(12, "0");
    prefix = `${hex.slice(0, 8)}-${hex.slice(8)}-7`;
    lastMs = ms;
  }
  return prefix + crypto.randomUUID().slice(15);
}
