import { definitionOf, type EventDefinition } from "../../events/_definition.ts";
import { checkExtensions, EventRecord, NO_EXTENSIONS, recordIn, restore } from "../../events/_state.ts";
import type { DomainEvent, EventClass } from "../../events/mod.ts";
import type { Fields, StoredRecord } from "../../store/mod.ts";
import { positionTime } from "../../store/mod.ts";
import { Contract, DecodingFailure } from "./_detail_contract.ts";
import { type Entry, rawFields, readEntry } from "./_entry.ts";
import { parseJson } from "./_json.ts";
import { decodingError, versionOf } from "./_versions.ts";
import type { DetailCipher } from "./detail_cipher.ts";
import type { UndecodableError } from "../errors.ts";

/** The event of an entry, or why it is none. */
export type Decoded<E extends DomainEvent> = E | UndecodableError;

const DATE_TIME = /^([+-]\d\d)?\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$/i;

/** Turns events of one class into the fields of entries, and entries into events: the same for every store. */
export class EventCodec<E extends DomainEvent = DomainEvent> {
  readonly definition: EventDefinition;
  /** The stream of these events: `<prefix>:<Type>`. */
  readonly stream: string;
  #class: EventClass<E>;
  #contract: Contract;

  constructor(eventClass: EventClass<E>, prefix: string, cipher?: DetailCipher) {
    this.#class = eventClass;
    this.definition = definitionOf(eventClass);
    this.stream = `${prefix}:${this.definition.type}`;
    this.#contract = new Contract(this.definition, cipher);
  }

  /** Whether it is the codec of this very class. */
  isFor(eventClass: unknown): boolean {
    return eventClass === this.#class;
  }

  /** Whether this is an event of the class. */
  accepts(event: unknown): event is E {
    return event instanceof this.#class;
  }

  /** Whether some of its events may have to wait for their payload. */
  get prepares(): boolean {
    return this.definition.schema !== undefined || this.definition.encrypt;
  }

  /** The payload of an event whose schema has not accepted it yet, or that is encrypted; undefined for any other. */
  prepare(event: E): Promise<string> | undefined {
    return this.#contract.prepare(event);
  }

  /** The payload of any other event. */
  payload(event: E): string {
    return this.#contract.payload(event);
  }

  /** The fields of an entry, in the one order; beyond id and payload only what says something. */
  encode(event: E, payload: string = this.payload(event)): Fields {
    const record = recordIn(event);
    const fields = ["id", record.id, "payload", payload];
    const { version } = this.definition;
    if (version !== 1) fields.push("version", String(version));
    if (record.ms !== undefined) fields.push("time", new Date(record.ms).toISOString());
    if (record.source !== undefined) fields.push("source", record.source);
    if (record.subject !== undefined) fields.push("subject", record.subject);
    if (record.correlationId !== undefined) fields.push("correlationid", record.correlationId);
    if (record.causationId !== undefined) fields.push("causationid", record.causationId);
    if (record.traceparent !== undefined) fields.push("traceparent", record.traceparent);
    const { extensions } = record;
    if (extensions !== NO_EXTENSIONS && Object.keys(extensions).length > 0) {
      fields.push("ext", JSON.stringify(extensions));
    }
    return fields;
  }

  /**
   * The event of an entry, or why it is none: an entry from another writer harms nobody. A promise where its schema or
   * its decryption answers by one, which rejects with a DecodingFailure where that rejects.
   */
  decode(stored: StoredRecord): Decoded<E> | Promise<Decoded<E>> {
    try {
      const entry = readEntry(stored.fields, this.definition.type);
      const version = versionOf(entry, this.definition);
      const record = this.#record(entry, stored.position);
      if (this.#contract.isSealed(entry.payload)) {
        return this.#decodeLater(stored, this.#opened(entry.payload, entry.subject, version), record);
      }
      const detail = this.#contract.accept(this.#upcast(parsePayload(entry), version));
      if (detail instanceof Promise) return this.#decodeLater(stored, detail, record);
      return restore(this.#class, detail, record);
    } catch (error) {
      return this.#undecodable(stored, error);
    }
  }

  #opened(payload: string, subject: string | undefined, version: number): Promise<unknown> {
    return this.#contract.open(payload, subject, (detail) => this.#upcast(detail, version));
  }

  async #decodeLater(stored: StoredRecord, detail: Promise<unknown>, record: EventRecord): Promise<Decoded<E>> {
    try {
      return restore(this.#class, await detail, record);
    } catch (error) {
      if (!(error instanceof DecodingFailure)) return this.#undecodable(stored, error);
      throw new DecodingFailure(`Cannot decode ${this.definition.type} at ${stored.position}: ${error.message}`, {
        cause: error.cause,
      });
    }
  }

  #undecodable({ position, fields }: StoredRecord, error: unknown): UndecodableError {
    return decodingError(this.definition.type, position, rawFields(fields), error);
  }

  #record(entry: Entry, position: StoredRecord["position"]): EventRecord {
    // Entries of other writers may have no id: their position in the stream is as unique.
    const record = new EventRecord(entry.id ?? `${this.definition.type}:${position}`);
    record.position = position;
    if (entry.time !== undefined) record.ms = parseTime(entry.time);
    else if (entry.id === undefined) record.ms = positionTime(position);
    record.source = entry.source;
    record.subject = entry.subject;
    record.correlationId = entry.correlationid;
    record.causationId = entry.causationid;
    record.traceparent = entry.traceparent;
    if (entry.unknown !== undefined) record.unknownFields = entry.unknown;
    if (entry.ext !== undefined) record.extensions = checkExtensions(parseJson("its ext", entry.ext));
    return record;
  }

  /** The detail of the present version. */
  #upcast(detail: unknown, from: number): unknown {
    const { upcast, version: current } = this.definition;
    for (let step = from; step < current; step++) {
      const next = upcast[step];
      if (next === undefined) throw new TypeError(`it is of version ${from}, and nothing upcasts from ${step}`);
      detail = next(detail);
    }
    return detail;
  }
}

function parsePayload({ payload, unknown }: Entry): unknown {
  if (payload === undefined) {
    // A store may hand out less of what nobody could read, with its size.
    const size = unknown?.toolarge;
    throw new TypeError(size === undefined ? "it has no payload" : `it has ${size} bytes, far more than are read`);
  }
  return parseJson("its payload", payload);
}

function parseTime(text: string): number {
  // Without a zone it would be another moment on each machine.
  const time = DATE_TIME.test(text) ? Date.parse(text) : NaN;
  if (Number.isNaN(time)) {
    throw new TypeError(`its time is ${JSON.stringify(text.slice(0, 60))}, not a date and time with a zone (RFC 3339)`);
  }
  return time;
}
