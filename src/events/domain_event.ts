import { findDefinition } from "./_definition.ts";
import { masked } from "./_mask.ts";
import { type EventRecord, isExtension, recordOf, timeOf } from "./_record.ts";
import type { DomainEventInit } from "./domain_event_init.ts";

/** An event in the JSON format of CloudEvents 1.0. All other attributes are extensions. */
export interface CloudEvent<Data> {
  /** The version of CloudEvents. */
  specversion: "1.0";
  /** The event's id. */
  id: string;
  /** The event's type. */
  type: string;
  /** The event's source, or `/<type>` when it has none. */
  source: string;
  /** The event's time, in ISO 8601. */
  time: string;
  /** The format of `data`. */
  datacontenttype: "application/json";
  /** The event's detail. Sensitive values are included. */
  data: Data;
  /** Extension attributes. */
  [extension: string]: unknown;
}

type Inspect = (value: unknown, options: object) => string;

const INSPECTORS = {
  [Symbol.for("Deno.customInspect")](this: DomainEvent, inspect: Inspect, options: object): string {
    return inspected(this, inspect, options);
  },
  [Symbol.for("nodejs.util.inspect.custom")](this: DomainEvent, _depth: number, options: object, inspect: Inspect) {
    return inspected(this, inspect, options);
  },
};

// The next three functions read and write private fields of an event for other modules of this package. Only code in the
// body of a class can access its private fields, so the static block of the class below assigns these functions. A
// property with a symbol as its key would be as fast, but visible to users; a WeakMap is four times as slow.

/** The record of an event: everything except its type and detail. */
export let recordIn: (event: DomainEvent) => EventRecord;

/** Marks an event as published by a publisher. Kept on the event, because a map of events costs the garbage collector much. */
export interface Publication {
  /** The publisher. */
  readonly by: object;
}

/** The mark of the publisher that publishes or published this event. */
export let publicationOf: (event: DomainEvent) => Publication | undefined;

/** Sets or removes the mark of a publisher. */
export let notePublication: (event: DomainEvent, publication: Publication | undefined) => void;

/**
 * A fact that a service announces: a `CustomEvent` with an id, a time and metadata, which a store keeps. Make event classes
 * with `defineEvent`; brokers publish only events of such classes.
 *
 * An event can also be dispatched on any `EventTarget`, except while it is being dispatched.
 *
 * @example An event and its metadata
 * ```ts
 * import { defineEvent } from "@tidings/broker";
 * import { assert, assertEquals } from "@std/assert";
 *
 * class AuctionEnded extends defineEvent("AuctionEnded")<{ winningPrice: number }> {}
 *
 * const event = new AuctionEnded({ winningPrice: 99.99 }, { subject: "auction-1" });
 * assert(event instanceof Event);
 * assertEquals(event.type, "AuctionEnded");
 * assertEquals(event.detail, { winningPrice: 99.99 });
 * assertEquals(event.subject, "auction-1");
 * assertEquals(event.position, undefined);
 * ```
 *
 * @typeParam Type The literal type of `type`.
 * @typeParam Detail The type of `detail`.
 */
export class DomainEvent<Type extends string = string, Detail = unknown> extends CustomEvent<Detail> {
  /** The type of the event, which names its stream. */
  declare readonly type: Type;
  /** Unique among the events of its type; a UUIDv7 unless another id was given. */
  readonly id: string;
  readonly #record: EventRecord;
  #publication: Publication | undefined;

  static {
    recordIn = (event) => event.#record;
    publicationOf = (event) => event.#publication;
    notePublication = (event, publication) => void (event.#publication = publication);
    // Assigned here and not members: a computed name that is not a literal would make the class a slow type on JSR.
    Object.assign(this.prototype, INSPECTORS);
  }

  /**
   * Makes an event.
   *
   * @param type The type of the event.
   * @param detail The payload. `publish` requires plain JSON data.
   * @param init The id, the time and the metadata of the event.
   * @throws {TypeError} If a value in `init` breaks the rule that `DomainEventInit` states.
   */
  constructor(type: Type, detail: Detail, init?: DomainEventInit) {
    // Deno allows `undefined` as a detail. The standard and JSON do not, so it becomes null.
    super(type, { detail: (detail ?? null) as Detail });
    this.#record = recordOf(init);
    this.id = this.#record.id;
  }

  /** When the event happened, to the millisecond; a new Date for each access. */
  get time(): Date {
    return new Date(timeOf(this.#record));
  }

  /** Where the event happened. */
  get source(): string | undefined {
    return this.#record.source;
  }

  /** The thing that the event is about, within its source. */
  get subject(): string | undefined {
    return this.#record.subject;
  }

  /** The id that all events with one origin have in common. */
  get correlationId(): string | undefined {
    return this.#record.correlationId;
  }

  /** The id of the event that led to this one. */
  get causationId(): string | undefined {
    return this.#record.causationId;
  }

  /** W3C trace context. */
  get traceparent(): string | undefined {
    return this.#record.traceparent;
  }

  /** CloudEvents extension attributes: a frozen object, empty if none were given. */
  get extensions(): Readonly<Record<string, string>> {
    return this.#record.extensions;
  }

  /**
   * Fields of the stored entry that this package does not know, written by another program: a frozen object, empty if there
   * are none. Logs and exports of this event include them. They are not published again.
   */
  get unknownFields(): Readonly<Record<string, string>> {
    return this.#record.unknownFields;
  }

  /** Until when groups handle the event; a new Date for each access. Undefined without an end. */
  get expires(): Date | undefined {
    const { expires } = this.#record;
    return expires === undefined ? undefined : new Date(expires);
  }

  /** The position in the stream; undefined until published. */
  get position(): `${number}-${number}` | undefined {
    return this.#record.position;
  }

  /**
   * The number of the event among those of its subject in its stream: 1, 2, 3, … Undefined until published, and in a stream
   * without revisions. A stream has revisions if all its classes have the option `subject`.
   */
  get revision(): number | undefined {
    return this.#record.revision;
  }

  /** When the event is or was to be stored; undefined for an event that was not published with `delay` or `at`. */
  get scheduledFor(): Date | undefined {
    const ms = this.#record.scheduledFor;
    return ms === undefined ? undefined : new Date(ms);
  }

  /**
   * A plain object for logs, with sensitive values masked. `console.log` shows the same.
   *
   * @example Mask a value in logs, and export it
   * ```ts
   * import { defineEvent } from "@tidings/broker";
   * import { assertEquals, assertStringIncludes } from "@std/assert";
   *
   * class CardStored extends defineEvent("CardStored", { sensitive: ["token"] })<{ token: string }> {}
   *
   * const event = new CardStored({ token: "tok_1" });
   * assertStringIncludes(JSON.stringify(event), '"detail":{"token":"***"}');
   * assertEquals(event.toCloudEvent().data, { token: "tok_1" });
   * ```
   *
   * @returns The defined ones of `id`, `type`, `time`, `position`, `revision`, `scheduledFor`, `source`, `subject`, `correlationId`,
   * `causationId`, `traceparent`, `expires`, `extensions`, `unknownFields`, `version` and `detail`, in this order.
   */
  toJSON(): unknown {
    const { position, revision, source, subject, correlationId, causationId, traceparent } = this;
    const { extensions, unknownFields } = this;
    const expires = this.expires?.toISOString();
    return {
      id: this.id,
      type: this.type,
      time: this.time.toISOString(),
      ...defined({ position, revision, scheduledFor: this.scheduledFor?.toISOString() }),
      ...defined({ source, subject, correlationId, causationId, traceparent, expires }),
      ...(Object.keys(extensions).length > 0 && { extensions: { ...extensions } }),
      ...(Object.keys(unknownFields).length > 0 && { unknownFields: { ...unknownFields } }),
      version: versionOf(this),
      detail: shownDetail(this),
    };
  }

  /**
   * The complete event in the JSON format of CloudEvents 1.0, for export. Sensitive values are included, unmasked. These
   * become extensions: `correlationid`, `causationid`, `traceparent`, `expires`, `version` (if it is not 1), `position`, `revision`
   * and `scheduledfor` (once published), the event's own extensions, and unknown fields whose names are valid for extensions.
   *
   * @example Export an event
   * ```ts
   * import { defineEvent } from "@tidings/broker";
   * import { assertEquals } from "@std/assert";
   *
   * class AuctionEnded extends defineEvent("AuctionEnded")<{ winningPrice: number }> {}
   *
   * const event = new AuctionEnded({ winningPrice: 5 }, { id: "a-1", time: new Date(0), extensions: { region: "eu" } });
   * assertEquals(event.toCloudEvent(), {
   *   specversion: "1.0",
   *   id: "a-1",
   *   type: "AuctionEnded",
   *   source: "/AuctionEnded",
   *   time: "1970-01-01T00:00:00.000Z",
   *   datacontenttype: "application/json",
   *   region: "eu",
   *   data: { winningPrice: 5 },
   * });
   * ```
   *
   * @returns A new object that shares the event's `detail`.
   */
  toCloudEvent(): CloudEvent<Detail> {
    const { subject, correlationId, causationId, traceparent, position, revision } = this;
    const { extensions, unknownFields } = this;
    const version = versionOf(this);
    return {
      specversion: "1.0",
      id: this.id,
      type: this.type,
      source: this.source ?? `/${encodeURIComponent(this.type)}`,
      time: this.time.toISOString(),
      ...defined({ subject }),
      datacontenttype: "application/json",
      ...defined({
        correlationid: correlationId,
        causationid: causationId,
        traceparent,
        expires: this.expires?.toISOString(),
      }),
      ...(version !== 1 && { version }),
      ...defined({ position, revision, scheduledfor: this.scheduledFor?.toISOString() }),
      ...Object.fromEntries(Object.entries(unknownFields).filter(([name]) => isExtension(name))),
      ...extensions,
      data: this.detail,
    };
  }
}

function versionOf(event: DomainEvent): number {
  return findDefinition(event.constructor)?.version ?? 1;
}

function shownDetail(event: DomainEvent): unknown {
  const mask = findDefinition(event.constructor)?.mask;
  return mask === undefined ? event.detail : masked(event.detail, mask);
}

function defined<T extends object>(fields: T): Partial<T> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Partial<T>;
}

function inspected(event: DomainEvent, inspect: Inspect, options: object): string {
  const { type: _type, version: _version, ...fields } = event.toJSON() as Record<string, unknown>;
  return `${event.type} ${inspect(fields, options)}`;
}
