import { definitionOf, type EventDefinition } from "../../events/_definition.ts";
import { reasonOf } from "../../events/_check.ts";
import { isInstance } from "../../events/_foreign.ts";
import { assertSubject } from "../../events/_subject.ts";
import { checkExtensions, EventRecord, NO_EXTENSIONS, recordIn, restore } from "../../events/_state.ts";
import type { DomainEvent, EventClass } from "../../events/mod.ts";
import type { Fields, StoredRecord } from "../../store/mod.ts";
import { type Position, positionTime } from "../../store/mod.ts";
import { Contract, DecodingFailure } from "./_detail_contract.ts";
import { rawFields, readEntry } from "./_entry.ts";
import { DATE_TIME, type Entry } from "./_entry_fields.ts";
import { parseJson } from "./_json.ts";
import type { DetailCipher } from "../detail_cipher.ts";
import { NewerVersionError, UndecodableError } from "../errors.ts";

/** The event of an entry, or the error for an entry that is no event of its class. */
export type Decoded<E extends DomainEvent> = E | UndecodableError;

/** The entry has a newer version than its class in this process. */
class TooNew extends TypeError {
  readonly version: number;

  constructor(version: number, known: number) {
    super(`it is of version ${version}, and this class knows up to ${known}`);
    this.version = version;
  }
}

/** Encodes events of one class as fields of entries, and decodes entries. The format is the same in every store. */
export class EventCodec<E extends DomainEvent = DomainEvent> {
  readonly definition: EventDefinition;
  /** The stream of these events: `<prefix>:<Type>`, or `<prefix>:<stream>` where classes share one. */
  readonly stream: string;
  #class: EventClass<E>;
  #contract: Contract;

  constructor(eventClass: EventClass<E>, prefix: string, cipher?: DetailCipher) {
    this.#class = eventClass;
    this.definition = definitionOf(eventClass);
    this.stream = `${prefix}:${this.definition.stream}`;
    this.#contract = new Contract(this.definition, cipher);
  }

  /** Whether this is the codec of that class object, and not of another class of the same type. */
  isFor(eventClass: unknown): boolean {
    return eventClass === this.#class;
  }

  /** Whether this is an event of the class. */
  accepts(event: unknown): event is E {
    return event instanceof this.#class;
  }

  /** Whether encoding may be asynchronous: the class has a schema or encrypts. */
  get prepares(): boolean {
    return this.definition.schema !== undefined || this.definition.encrypt;
  }

  /** The payload of an event that must first be validated or encrypted; undefined for other events. */
  prepare(event: E): Promise<string> | undefined {
    return this.#contract.prepare(event);
  }

  /** The payload of an event that needs no preparation. */
  payload(event: E): string {
    return this.#contract.payload(event);
  }

  /**
   * The fields of the event's entry, always in the same order. After id and payload, only fields with a value.
   *
   * @throws {TypeError} If a new event's detail has another subject than the event.
   */
  encode(event: E, payload: string = this.payload(event)): Fields {
    const record = recordIn(event);
    const fields = ["id", record.id, "payload", payload];
    const { type, stream, version, subject: path } = this.definition;
    // An event that was read may come from a program that knows no path.
    if (path !== undefined && record.position === undefined) assertSubject(type, path, event.detail, record.subject);
    if (type !== stream) fields.push("type", type);
    if (version !== 1) fields.push("version", String(version));
    if (record.ms !== undefined) fields.push("time", new Date(record.ms).toISOString());
    if (record.source !== undefined) fields.push("source", record.source);
    if (record.subject !== undefined) fields.push("subject", record.subject);
    if (record.correlationId !== undefined) fields.push("correlationid", record.correlationId);
    if (record.causationId !== undefined) fields.push("causationid", record.causationId);
    if (record.traceparent !== undefined) fields.push("traceparent", record.traceparent);
    if (record.expires !== undefined) fields.push("expires", new Date(record.expires).toISOString());
    const { extensions } = record;
    if (extensions !== NO_EXTENSIONS && Object.keys(extensions).length > 0) {
      fields.push("ext", JSON.stringify(extensions));
    }
    return fields;
  }

  /**
   * Decodes an entry. For an entry that is no event of the class it returns an error and does not throw, since any program
   * may write to a stream. It returns a promise if the schema is asynchronous or a field is encrypted; that promise rejects
   * with a DecodingFailure if the schema or the decryption fails for now.
   */
  decode(stored: StoredRecord): Decoded<E> | Promise<Decoded<E>> {
    try {
      const entry = readEntry(stored.fields, this.definition.type, this.#isSensitive);
      const version = versionOf(entry, this.definition);
      const record = this.#record(entry, stored.position);
      if (this.#contract.isSealed(entry.payload)) {
        return this.#decodeLater(stored, this.#opened(entry.payload, entry.subject, version), record);
      }
      const detail = this.#contract.accept(this.#upcast(parsePayload(entry, this.#isSensitive), version));
      if (detail instanceof Promise) return this.#decodeLater(stored, detail, record);
      return restore(this.#class, detail, record);
    } catch (error) {
      return this.#undecodable(stored, error);
    }
  }

  get #isSensitive(): boolean {
    return this.definition.mask !== undefined;
  }

  #opened(payload: string, subject: string | undefined, version: number): Promise<unknown> {
    return this.#contract.open(payload, subject, (detail) => this.#upcast(detail, version));
  }

  async #decodeLater(stored: StoredRecord, detail: Promise<unknown>, record: EventRecord): Promise<Decoded<E>> {
    try {
      return restore(this.#class, await detail, record);
    } catch (error) {
      if (!isInstance(error, DecodingFailure)) return this.#undecodable(stored, error);
      throw new DecodingFailure(`Cannot decode ${this.definition.type} at ${stored.position}: ${error.message}`, {
        cause: error.cause,
      });
    }
  }

  #undecodable({ position, fields }: StoredRecord, error: unknown): UndecodableError {
    return decodingError(this.definition.type, position, rawFields(fields), error);
  }

  #record(entry: Entry, position: StoredRecord["position"]): EventRecord {
    // Entries of other programs may have no id. Their position is unique, too.
    const record = new EventRecord(entry.id ?? `${this.definition.type}:${position}`);
    record.position = position;
    record.revision = entry.revision;
    if (entry.scheduledfor !== undefined) record.scheduledFor = parseTime(entry.scheduledfor);
    if (entry.time !== undefined) record.ms = parseTime(entry.time);
    else if (entry.id === undefined) record.ms = positionTime(position);
    record.source = entry.source;
    record.subject = entry.subject;
    record.correlationId = entry.correlationid;
    record.causationId = entry.causationid;
    record.traceparent = entry.traceparent;
    record.expires = entry.expires;
    if (entry.unknown !== undefined) record.unknownFields = entry.unknown;
    if (entry.ext !== undefined) record.extensions = checkExtensions(parseJson("its ext", entry.ext));
    return record;
  }

  /** The detail, upcast to the version of the class. */
  #upcast(detail: unknown, from: number): unknown {
    const { upcast, version: current } = this.definition;
    for (let step = from; step < current; step++) {
      const next = upcast[step];
      if (next === undefined) {
        throw new TypeError(`it is of version ${from}, and the class has no upcaster from ${step}`);
      }
      detail = next(detail);
    }
    return detail;
  }
}

function parsePayload({ payload, unknown }: Entry, isSensitive: boolean): unknown {
  if (payload === undefined) {
    // A store leaves out a payload that is too large to be read, and gives its size in this field.
    const size = unknown?.toolarge;
    throw new TypeError(size === undefined ? "it has no payload" : `it has ${size} bytes, far more than can be read`);
  }
  return parseJson("its payload", payload, isSensitive);
}

function parseTime(text: string): number {
  // A time without a zone would be a different moment on each machine.
  const time = DATE_TIME.test(text) ? Date.parse(text) : NaN;
  if (Number.isNaN(time)) {
    throw new TypeError(`its time is ${JSON.stringify(text.slice(0, 60))}, not a date and time with a zone (RFC 3339)`);
  }
  return time;
}

/**
 * The version of an entry, from its fields. Call it before reading the payload: the payload of a newer version may have
 * another format.
 *
 * @throws If it is newer than the class; {@linkcode decodingError} turns this error into a `NewerVersionError`.
 */
function versionOf(
  { id, version }: { readonly id?: string; readonly version?: string },
  { upcast, version: current }: Pick<EventDefinition, "upcast" | "version">,
): number {
  // The Python predecessor wrote neither id nor version: such entries are version 0 where the class upcasts from 0.
  if (version === undefined) return id === undefined && upcast[0] !== undefined ? 0 : 1;
  const number = /^(0|[1-9]\d{0,15})$/.test(version) ? Number(version) : NaN;
  if (!Number.isSafeInteger(number)) {
    throw new TypeError(`its version is ${JSON.stringify(version.slice(0, 60))}, not a number`);
  }
  if (number > current) throw new TooNew(number, current);
  return number;
}

/** The error for an entry whose decoding failed with `cause`. */
function decodingError(
  type: string,
  position: Position,
  raw: Readonly<Record<string, string>>,
  cause: unknown,
): UndecodableError {
  const message = `Cannot decode ${type} at ${position}: ${reasonOf(cause)}`;
  if (isInstance(cause, TooNew)) {
    return new NewerVersionError(message, position, raw, { cause, version: cause.version });
  }
  return new UndecodableError(message, position, raw, { cause });
}
