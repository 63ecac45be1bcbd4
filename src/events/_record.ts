import { extractTimestamp, validate } from "@std/uuid/v7";
import { checkKeys, show } from "./_check.ts";
import { isInstance } from "./_foreign.ts";
import { uuidv7 } from "./_uuid.ts";
import type { DomainEventInit } from "./domain_event_init.ts";

/** The key of a reference to itself, which a record has as an init: a copy by spread keeps it. */
const STORED: unique symbol = Symbol("stored");

/** The extensions of an event without extensions. */
export const NO_EXTENSIONS: Readonly<Record<string, string>> = Object.freeze(Object.create(null));
const INIT_KEYS = ["id", "time", "source", "subject", "correlationId", "causationId", "traceparent", "extensions"];
/** How many characters the id of an event may have. */
export const MAX_ID_LENGTH = 256;
// CloudEvents allows neither in a string, and a lone surrogate has no UTF-8 form.
const UNPRINTABLE = /[\p{Cc}\p{Cs}]/u;
const EXTENSION_NAME = /^[a-z0-9]{1,20}$/;
// The attributes of CloudEvents, and the fields of a stored entry, which extensions must not shadow.
const RESERVED_EXTENSIONS = new Set(
  ("id source type specversion time subject datacontenttype dataschema data correlationid causationid traceparent " +
    "version payload ext position").split(" "),
);
// The first moment that the 48 bits of a UUIDv7 cannot hold.
const UUID_TIME_LIMIT = 2 ** 48;

/**
 * All of an event but its type and detail. The codec makes one from a stored entry and passes it as the init to the class
 * of the event, which takes it unchecked.
 */
export class EventRecord {
  readonly [STORED]: EventRecord = this;
  readonly id: string;
  /** Milliseconds since the epoch; undefined when they are those of the UUIDv7 in `id`. */
  ms: number | undefined = undefined;
  position: `${number}-${number}` | undefined = undefined;
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

/** The record of an init: the one that the codec made, or a checked copy of what the user gave. */
export function recordOf(init: DomainEventInit | undefined): EventRecord {
  if (init === undefined) return new EventRecord(uuidv7());
  return storedIn(init) ?? checkedRecord(init);
}

/** The record that the codec made, where the init is one or a copy of one. */
export function storedIn(init: DomainEventInit | undefined): EventRecord | undefined {
  return (init as Partial<EventRecord> | undefined)?.[STORED];
}

/** Milliseconds since the epoch at which an event happened. */
export function timeOf({ id, ms, position }: EventRecord): number {
  if (ms !== undefined) return ms;
  // Only an entry of another writer has neither: then the position gives the time, by the store's clock.
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
  if (init.extensions !== undefined) record.extensions = checkExtensions(init.extensions);
  return record;
}

// Where possible the time is the one inside the id, so that a store need not keep it twice.
function identify(id: string | undefined, ms: number | undefined): EventRecord {
  const fits = ms === undefined || ms >= 0 && ms < UUID_TIME_LIMIT;
  const record = new EventRecord(id ?? uuidv7(fits ? ms : undefined));
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
  const isDate = isInstance(time, Date);
  const ms = isDate ? timeIn(time) : NaN;
  if (!Number.isNaN(ms)) return ms;
  throw new TypeError(
    `Cannot use ${isDate ? "an invalid Date" : show(time)} as the time of an event: give a valid Date`,
  );
}

function timeIn(date: Date): number {
  try {
    return Date.prototype.getTime.call(date);
  } catch {
    return NaN;
  }
}

function checkedText(name: string, text: unknown): string | undefined {
  if (text === undefined || typeof text === "string" && text !== "" && !UNPRINTABLE.test(text)) return text;
  throw new TypeError(
    `Cannot use ${show(text)} as the ${name} of an event: give a non-empty string without control characters or lone ` +
      `surrogates, or leave it out`,
  );
}

/** A frozen copy, without a prototype, of extension attributes; a TypeError where they break the rules of CloudEvents. */
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

/** Whether CloudEvents allows this in a string. */
export function isPrintable(text: string): boolean {
  return !UNPRINTABLE.test(text);
}

function extensionFault(name: string, value: unknown): string | undefined {
  if (!EXTENSION_NAME.test(name)) return "give a name of 1 to 20 lower-case letters and digits";
  if (RESERVED_EXTENSIONS.has(name)) return "that name is reserved, give another";
  return typeof value === "string" ? undefined : `its value is ${show(value)}, give a string`;
}
