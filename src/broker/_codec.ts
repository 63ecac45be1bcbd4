import { definitionOf, type EventDefinition } from "../events/_definition.ts";
import { encodeDetail } from "../events/_lossless.ts";
import { checkExtensions, EventRecord, NO_EXTENSIONS, recordIn, restore } from "../events/_state.ts";
import type { DomainEvent, EventClass } from "../events/mod.ts";
import type { Fields, StoredRecord } from "../store/mod.ts";
import { positionTime } from "../store/mod.ts";
import { decodingError, versionOf } from "./_versions.ts";
import type { UndecodableError } from "./errors.ts";

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
      const entry = parseFields(fields);
      const record = this.#record(entry, position);
      return restore(this.#class, this.#detail(entry), record);
    } catch (error) {
      return decodingError(this.definition.type, position, rawFields(fields), error);
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
    if (entry.ext !== undefined) record.extensions = checkExtensions(JSON.parse(entry.ext));
    return record;
  }

  #detail(entry: Entry): unknown {
    const { payload } = entry;
    const { upcast, version: current } = this.definition;
    const from = versionOf(entry, this.definition);
    if (payload === undefined) throw new TypeError("it has no payload");
    let detail: unknown = JSON.parse(payload);
    for (let step = from; step < current; step++) {
      const next = upcast[step];
      if (next === undefined) throw new TypeError(`it is of version ${from}, and nothing upcasts from ${step}`);
      detail = next(detail);
    }
    return detail;
  }
}

interface Entry {
  id?: string;
  payload?: string;
  version?: string;
  time?: string;
  source?: string;
  subject?: string;
  correlationid?: string;
  causationid?: string;
  traceparent?: string;
  ext?: string;
}

function parseFields(fields: Fields): Entry {
  // What nearly every entry is: its shape is always the same, and so cheap to look at.
  if (fields.length === 4 && fields[0] === "id" && fields[2] === "payload") {
    return { id: fields[1]!, payload: fields[3]! };
  }
  return namedFields(fields);
}

function namedFields(fields: Fields): Entry {
  const entry: Record<string, string> = Object.create(null);
  for (let at = 0; at + 1 < fields.length; at += 2) entry[fields[at]!] = fields[at + 1]!;
  return entry;
}

/** Fields by name, for people: without a prototype, so that no name means anything. */
export function rawFields(fields: Fields): Readonly<Record<string, string>> {
  return Object.freeze(namedFields(fields) as Record<string, string>);
}

function parseTime(text: string): number {
  const time = Date.parse(text);
  if (Number.isNaN(time)) throw new TypeError(`its time is ${JSON.stringify(text)}, not a date`);
  return time;
}
