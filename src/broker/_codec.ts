import { definitionOf, type EventDefinition } from "../events/_definition.ts";
import { encodeDetail } from "../events/_lossless.ts";
import { checkExtensions, EventRecord, NO_EXTENSIONS, recordIn, restore } from "../events/_state.ts";
import type { DomainEvent, EventClass } from "../events/mod.ts";
import type { Fields, StoredRecord } from "../store/mod.ts";
import { positionTime } from "../store/mod.ts";
import { type Entry, rawFields, readEntry } from "./_entry.ts";
import { parseJson } from "./_json.ts";
import { UndecodableError } from "./errors.ts";

const DATE_TIME = /^([+-]\d\d)?\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$/i;

/** Turns events of one class into the fields of entries, and entries into events: the same for every store. */
export class EventCodec<E extends DomainEvent = DomainEvent> {
  readonly definition: EventDefinition;
  /** The stream of these events: `<prefix>:<Type>`. */
  readonly stream: string;
  #class: EventClass<E>;

  constructor(eventClass: EventClass<E>, prefix: string) {
    this.#class = eventClass;
    this.definition = definitionOf(eventClass);
    this.stream = `${prefix}:${this.definition.type}`;
  }

  /** Whether it is the codec of this very class. */
  isFor(eventClass: unknown): boolean {
    return eventClass === this.#class;
  }

  /** Whether this is an event of the class. */
  accepts(event: unknown): event is E {
    return event instanceof this.#class;
  }

  /** The fields of an entry, in the one order; beyond id and payload only what says something. */
  encode(event: E): Fields {
    const record = recordIn(event);
    const fields = ["id", record.id, "payload", encodeDetail(event.detail)];
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

  /** The event of an entry, or why it is none: an entry from another writer harms nobody. */
  decode({ position, fields }: StoredRecord): E | UndecodableError {
    try {
      const entry = readEntry(fields, this.definition.type);
      const record = this.#record(entry, position);
      return restore(this.#class, this.#detail(entry), record);
    } catch (error) {
      const { type } = this.definition;
      const why = error instanceof Error ? error.message : String(error);
      const message = `Cannot decode ${type} at ${position}: ${why}`;
      return new UndecodableError(message, position, rawFields(fields), { cause: error });
    }
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

  #detail(entry: Entry): unknown {
    const { payload, version, id } = entry;
    if (payload === undefined) throw new TypeError("it has no payload");
    let detail: unknown = parseJson("its payload", payload);
    const { upcast, version: current } = this.definition;
    // The Python ancestor wrote neither id nor version: its entries are version 0 where the class knows what those are.
    const from = version === undefined ? (id === undefined && upcast[0] !== undefined ? 0 : 1) : parseVersion(version);
    if (from > current) throw new TypeError(`it is of version ${from}, and this class knows up to ${current}`);
    for (let step = from; step < current; step++) {
      const next = upcast[step];
      if (next === undefined) throw new TypeError(`it is of version ${from}, and nothing upcasts from ${step}`);
      detail = next(detail);
    }
    return detail;
  }
}

function parseVersion(text: string): number {
  const version = /^(0|[1-9]\d{0,15})$/.test(text) ? Number(text) : NaN;
  if (Number.isSafeInteger(version)) return version;
  throw new TypeError(`its version is ${JSON.stringify(text.slice(0, 60))}, not a number`);
}

function parseTime(text: string): number {
  // Without a zone it would be another moment on each machine.
  const time = DATE_TIME.test(text) ? Date.parse(text) : NaN;
  if (Number.isNaN(time)) {
    throw new TypeError(`its time is ${JSON.stringify(text.slice(0, 60))}, not a date and time with a zone (RFC 3339)`);
  }
  return time;
}
