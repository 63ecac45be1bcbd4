import { findDefinition } from "./_definition.ts";
import { masked } from "./_mask.ts";
import { type EventRecord, isExtension, recordOf, timeOf } from "./_record.ts";

/** What an event may be given beside its detail. A value that breaks a rule is a TypeError. */
export interface DomainEventInit {
  /**
   * Unique among the events of its type: 1 to 256 characters without control characters.
   *
   * @default {a new UUIDv7}
   */
  id?: string;
  /**
   * When it happened.
   *
   * @default {the time in a UUIDv7 `id`, otherwise now}
   */
  time?: Date;
  /** Where it happened: a URI or a path, such as `"/auctions/eu"`. */
  source?: string;
  /** What it is about within its source, such as the id of an auction. */
  subject?: string;
  /** What all events that one cause set off have in common. Inside a handler, the handled event's by default. */
  correlationId?: string;
  /** The id of the event that led to this one. Inside a handler, the handled event's by default. */
  causationId?: string;
  /** W3C trace context. */
  traceparent?: string;
  /** CloudEvents extension attributes: names of 1 to 20 lower-case letters and digits, values strings. */
  extensions?: Readonly<Record<string, string>>;
}

/** An event in the JSON format of CloudEvents 1.0; further attributes are extensions. */
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
  /** What `data` is. */
  datacontenttype: "application/json";
  /** The event's detail, complete. */
  data: Data;
  /** What CloudEvents has no attribute for. */
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

/** What an event knows beside its type and detail, for the broker to read and to note on. */
export let recordIn: (event: DomainEvent) => EventRecord;

/** What a publisher knows of an event that it was given. Kept on the event: a map of events costs the collector dearly. */
export interface Publication {
  /** The publisher. */
  readonly by: object;
}

/** What the first publisher of this event noted on it. */
export let publicationOf: (event: DomainEvent) => Publication | undefined;

/** Notes what a publisher knows of this event, or that it knows nothing. */
export let notePublication: (event: DomainEvent, publication: Publication | undefined) => void;

/**
 * A fact that a service announces: a `CustomEvent` with an id, a time and what else a store keeps of it. Make classes
 * of events by `defineEvent`; brokers publish only those.
 *
 * It is an `Event` like any other, so it can be dispatched on an `EventTarget` too, though not while it is already
 * being dispatched.
 *
 * @example An event and what it knows
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
  /** Which events it is one of: the name of its stream. */
  declare readonly type: Type;
  /** Unique among the events of its type; a UUIDv7 unless it was given. */
  readonly id: string;
  readonly #record: EventRecord;
  #publication: Publication | undefined;

  static {
    recordIn = (event) => event.#record;
    publicationOf = (event) => event.#publication;
    notePublication = (event, publication) => void (event.#publication = publication);
    // Not as members, since a computed name that is not a literal would make the class a slow type on JSR.
    Object.assign(this.prototype, INSPECTORS);
  }

  /**
   * Makes an event.
   *
   * @param type The type of the event.
   * @param detail The payload. To be published it must be what JSON can carry.
   * @param init What the event is given beside its detail.
   * @throws {TypeError} If a value in `init` breaks the rule that `DomainEventInit` states.
   */
  constructor(type: Type, detail: Detail, init?: DomainEventInit) {
    // A CustomEvent's detail is never undefined by the standard, and JSON has no such value; Deno lets it through.
    super(type, { detail: (detail ?? null) as Detail });
    this.#record = recordOf(init);
    this.id = this.#record.id;
  }

  /** When it happened: a new Date each time, to the millisecond. */
  get time(): Date {
    return new Date(timeOf(this.#record));
  }

  /** Where it happened. */
  get source(): string | undefined {
    return this.#record.source;
  }

  /** What it is about within its source. */
  get subject(): string | undefined {
    return this.#record.subject;
  }

  /** What all events that one cause set off have in common. */
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

  /** CloudEvents extension attributes: frozen, empty where none were given. */
  get extensions(): Readonly<Record<string, string>> {
    return this.#record.extensions;
  }

  /**
   * Fields that some other writer gave its entry, and that mean nothing here: frozen, empty where there are none. They
   * are shown and exported with this event, and not published again.
   */
  get unknownFields(): Readonly<Record<string, string>> {
    return this.#record.unknownFields;
  }

  /** Where the store has it; undefined until published. */
  get position(): `${number}-${number}` | undefined {
    return this.#record.position;
  }

  /**
   * A plain object for people and logs, with sensitive fields masked; `console.log` shows the same.
   *
   * @example Masked in logs, complete in exports
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
   * @returns What is defined of `id`, `type`, `time`, `position`, `source`, `subject`, `correlationId`, `causationId`,
   * `traceparent`, `extensions`, `unknownFields`, `version` and `detail`, in this order.
   */
  toJSON(): unknown {
    const { position, source, subject, correlationId, causationId, traceparent, extensions, unknownFields } = this;
    return {
      id: this.id,
      type: this.type,
      time: this.time.toISOString(),
      ...defined({ position, source, subject, correlationId, causationId, traceparent }),
      ...(Object.keys(extensions).length > 0 && { extensions: { ...extensions } }),
      ...(Object.keys(unknownFields).length > 0 && { unknownFields: { ...unknownFields } }),
      version: versionOf(this),
      detail: shownDetail(this),
    };
  }

  /**
   * The event in the JSON format of CloudEvents 1.0, complete, sensitive fields included: what export uses. What
   * CloudEvents has no attribute for becomes an extension: `correlationid`, `causationid`, `traceparent`, `version`
   * (from 2 on), `position` (once published), the event's own extensions, and those of its unknown fields that extensions may
   * be named after.
   *
   * @example An event for another system
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
    const { subject, correlationId, causationId, traceparent, position, extensions, unknownFields } = this;
    const version = versionOf(this);
    return {
      specversion: "1.0",
      id: this.id,
      type: this.type,
      source: this.source ?? `/${encodeURIComponent(this.type)}`,
      time: this.time.toISOString(),
      ...defined({ subject }),
      datacontenttype: "application/json",
      ...defined({ correlationid: correlationId, causationid: causationId, traceparent }),
      ...(version !== 1 && { version }),
      ...defined({ position }),
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
