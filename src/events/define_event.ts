import { Admission } from "./validation/_admission.ts";
import { checkKeys, checkNumber, show } from "./_check.ts";
import { noteCheck } from "./validation/_checks.ts";
import { DEFINITION, type EventDefinition, type Upcaster } from "./_definition.ts";
import { maskOf } from "./_mask.ts";
import { assertEventType, assertStreamName } from "./_names.ts";
import { storedIn } from "./_record.ts";
import { checkRetention } from "./_retention.ts";
import { checkSchema, isPromise } from "./validation/_schema_rules.ts";
import { subjectIn, subjectOf, type SubjectPath, subjectPath } from "./_subject.ts";
import { DomainEvent, recordIn } from "./domain_event.ts";
import type { DomainEventInit } from "./domain_event_init.ts";
import type { EventBase, SchemaEventBase } from "./event_class.ts";
import type { EventOptions, SchemaEventOptions } from "./event_options.ts";
import type { StandardSchemaV1 } from "./validation/standard_schema.ts";

/**
 * Makes an event class to extend: with the type of the payload, or with a schema, which gives the type.
 *
 * The type names the event's stream in every store, unless the option `stream` names a shared one. It has 1 to 200 characters, no white space, control characters,
 * `{`, `}` or `#`, and is not a single all-lowercase word: such words are reserved for events of the broker itself.
 *
 * A subclass may have fields, methods and a constructor. The constructor also runs when an event is read from a store:
 * it takes `(detail, init)` and hands `init` on to `super`.
 *
 * @example An event class
 * ```ts
 * import { defineEvent } from "@tidings/broker";
 * import { assertEquals } from "@std/assert";
 *
 * class AuctionEnded extends defineEvent("AuctionEnded")<{ auctionId: string; winningPrice: number }> {
 *   get dollars() {
 *     return `$${this.detail.winningPrice}`;
 *   }
 * }
 *
 * assertEquals(AuctionEnded.type, "AuctionEnded");
 * assertEquals(new AuctionEnded({ auctionId: "a-1", winningPrice: 5 }).dollars, "$5");
 * ```
 *
 * @example A second version, which converts events of the first
 * ```ts
 * import { defineEvent } from "@tidings/broker";
 * import { assertEquals } from "@std/assert";
 *
 * class BidPlaced extends defineEvent("BidPlaced", {
 *   version: 2,
 *   upcast: { 1: (detail: { price: number }) => ({ cents: Math.round(detail.price * 100) }) },
 * })<{ cents: number }> {}
 *
 * assertEquals(BidPlaced.version, 2);
 * ```
 *
 * @example Events that have their subject in the detail
 * ```ts
 * import { defineEvent } from "@tidings/broker";
 * import { assertEquals } from "@std/assert";
 *
 * class BidPlaced extends defineEvent("BidPlaced", { subject: "auctionId" })<{ auctionId: string; amount: number }> {}
 *
 * assertEquals(new BidPlaced({ auctionId: "a-1", amount: 5 }).subject, "a-1");
 * ```
 *
 * @example Two classes that share a stream
 * ```ts
 * import { defineEvent, InMemoryBroker } from "@tidings/broker";
 * import { assertEquals } from "@std/assert";
 *
 * class AuctionBegun extends defineEvent("AuctionBegun", { stream: "Auction" })<{ id: string }> {}
 * class BidPlaced extends defineEvent("BidPlaced", { stream: "Auction" })<{ id: string; amount: number }> {}
 *
 * await using broker = new InMemoryBroker({ events: [AuctionBegun, BidPlaced] });
 * await broker.publish([new AuctionBegun({ id: "a-1" }), new BidPlaced({ id: "a-1", amount: 5 })]);
 * const types = await Array.fromAsync(broker.history([AuctionBegun, BidPlaced]), ({ type }) => type);
 * assertEquals(types, ["AuctionBegun", "BidPlaced"]);
 * ```
 *
 * @param type The type of the events.
 * @param options Stream, subject, version, retention, sensitive paths and whether these are encrypted.
 * @returns The class to extend.
 * @throws {TypeError} If the type is malformed or reserved, an option is unknown or of the wrong kind, or `upcast` leaves
 * out a version.
 * @throws {RangeError} If a number is out of range.
 */
export function defineEvent<const Type extends string, const Subject extends string = string>(
  type: Type,
  options?: EventOptions<Subject> & { readonly schema?: never },
): EventBase<Type, Subject>;
/**
 * Makes an event class to extend, with a schema that gives the type of the payload.
 *
 * @example A detail that is validated and completed
 * ```ts
 * import { defineEvent } from "@tidings/broker";
 * import { assertEquals, assertThrows } from "@std/assert";
 * import { z } from "zod";
 *
 * const Bidder = z.object({ name: z.string(), age: z.number().default(18) });
 * class BidderRegistered extends defineEvent("BidderRegistered", { schema: Bidder, sensitive: ["name"] }) {}
 *
 * assertEquals(new BidderRegistered({ name: "Ada" }).detail.age, 18);
 * // @ts-expect-error: the name is missing
 * assertThrows(() => new BidderRegistered({}), TypeError, "detail.name");
 * ```
 *
 * @param type The type of the events.
 * @param options The schema, version, retention, sensitive paths and whether these are encrypted.
 * @returns The class to extend. Its constructor throws a `ValidationError` if the schema refuses the detail; if the schema is
 * asynchronous, `publish` rejects with that error instead. A TypeError means that the schema refuses or changes its own output,
 * which is checked with the first event.
 * @throws {TypeError} If the type is malformed or reserved, an option is unknown or of the wrong kind, or `upcast` leaves
 * out a version.
 * @throws {RangeError} If a number is out of range.
 */
export function defineEvent<const Type extends string, Schema extends StandardSchemaV1>(
  type: Type,
  options: SchemaEventOptions<Schema>,
): SchemaEventBase<Type, Schema>;
export function defineEvent(
  type: string,
  options: EventOptions & { readonly schema?: StandardSchemaV1 } = {},
): EventBase<string> {
  const definition = define(type, options);
  const { version, schema, mask, encrypt, subject: path } = definition;
  const admission = schema && new Admission(type, { schema, mask });
  const Base = class extends DomainEvent {
    static readonly type = type;
    static readonly version = version;
    static readonly [DEFINITION] = definition;

    constructor(detail: unknown, init?: DomainEventInit) {
      // For a stored event the codec validates the detail, after upcasting it.
      const admitted = storedIn(init) === undefined ? admission : undefined;
      if (encrypt && path === undefined && storedIn(init) === undefined) assertSubject(type, init);
      const made = admitted === undefined ? detail : admitted.admit(detail);
      const later = admitted !== undefined && isPromise(made);
      // Marked as handled: if the constructor throws below, nothing else handles a rejection of this promise.
      if (later) made.catch(() => {});
      super(type, later ? detail : made, init);
      if (path !== undefined) takeSubject(this, path, init);
      if (later) noteCheck(this, made, () => admitted.admit(detail));
    }
  };
  Object.defineProperty(Base, "name", { value: type, configurable: true });
  return Base as EventBase<string>;
}

function takeSubject(event: DomainEvent, path: SubjectPath, init: DomainEventInit | undefined): void {
  const record = recordIn(event);
  if (storedIn(init) === undefined) record.subject = subjectOf(event.type, path, event.detail, record.subject);
  else if (record.subject === undefined) {
    // Stored before the class named a path: whatever its detail has there.
    const found = subjectIn(path, event.detail);
    if (typeof found === "string" && found !== "") record.subject = found;
  }
}

function assertSubject(type: string, init: DomainEventInit | undefined): void {
  if (init?.subject !== undefined) return;
  throw new TypeError(
    `Cannot construct ${show(type)} without a subject: the subject's key encrypts the event; pass { subject: "…" }`,
  );
}

const KEYS = ["stream", "subject", "version", "upcast", "retention", "sensitive", "encrypt", "schema"];

function define(type: string, options: EventOptions & { readonly schema?: StandardSchemaV1 }): EventDefinition {
  assertEventType(type);
  checkKeys(`define event ${show(type)}`, options, KEYS);
  const { stream = type, subject, version = 1, upcast, retention, sensitive = [], encrypt = false, schema } = options;
  checkNumber(`the version of ${show(type)}`, version, { min: 1, max: Number.MAX_SAFE_INTEGER, integer: true });
  assertStreamName(type, stream);
  checkSensitive(type, sensitive);
  checkEncrypt(type, encrypt, sensitive);
  if (schema !== undefined) checkSchema(type, schema);
  return Object.freeze({
    type,
    stream,
    subject: subject === undefined ? undefined : subjectPath(type, subject),
    version,
    upcast: checkedUpcast(type, version, upcast),
    retention: retention === undefined ? undefined : checkRetention(retention),
    sensitive: Object.freeze([...sensitive]),
    mask: maskOf(sensitive),
    encrypt,
    schema,
  });
}

function checkedUpcast(type: string, version: number, upcast: unknown = {}): Readonly<Record<number, Upcaster>> {
  const refuse = (why: string): TypeError => new TypeError(`Cannot define event ${show(type)}: ${why}`);
  if (typeof upcast !== "object" || upcast === null) {
    throw refuse(`upcast must be an object of functions by version, not ${show(upcast)}`);
  }
  const steps: Record<number, Upcaster> = Object.create(null);
  for (const [key, step] of Object.entries(upcast)) {
    const from = Number(key);
    if (!Number.isSafeInteger(from) || from < 0 || String(from) !== key) {
      throw refuse(`upcast has the key ${show(key)}; give integers from 0`);
    }
    if (from >= version) {
      throw refuse(
        `upcast converts version ${key}, but the class has version ${version}; convert only earlier versions`,
      );
    }
    if (typeof step !== "function") throw refuse(`upcast from version ${key} is ${show(step)}; give a function`);
    steps[from] = step as Upcaster;
  }
  const versions = Object.keys(steps).map(Number);
  for (let from = versions[0] ?? version; from < version; from++) {
    if (steps[from] === undefined) throw refuse(`upcast has no step from version ${from} to ${from + 1}; add it`);
  }
  return Object.freeze(steps);
}

function checkSensitive(type: string, sensitive: unknown): void {
  if (!Array.isArray(sensitive)) {
    throw new TypeError(`Cannot define event ${show(type)}: sensitive must be an array, not ${show(sensitive)}`);
  }
  const wrong = sensitive.findIndex((path) => typeof path !== "string" || path.split(".").includes(""));
  if (wrong !== -1) {
    throw new TypeError(
      `Cannot define event ${show(type)}: ${show(sensitive[wrong])} is not a sensitive path; ` +
        `give keys joined by dots, such as "card.token"`,
    );
  }
}

function checkEncrypt(type: string, encrypt: unknown, sensitive: readonly string[]): void {
  if (typeof encrypt !== "boolean") {
    throw new TypeError(`Cannot define event ${show(type)}: encrypt must be true or false, not ${show(encrypt)}`);
  }
  if (encrypt && sensitive.length === 0) {
    throw new TypeError(
      `Cannot define event ${show(type)} with encrypt: sensitive is empty; name the paths to encrypt there`,
    );
  }
}
