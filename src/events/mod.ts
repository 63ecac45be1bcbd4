/**
 * Events: {@linkcode defineEvent} makes event classes, and {@linkcode DomainEvent} is the base class of all of them.
 *
 * ```ts
 * import { defineEvent } from "@tidings/broker";
 * import { assertEquals } from "@std/assert";
 *
 * class AuctionEnded extends defineEvent("AuctionEnded")<{ winningPrice: number }> {}
 * assertEquals(new AuctionEnded({ winningPrice: 5 }).type, "AuctionEnded");
 * ```
 *
 * @module
 */
export { defineEvent } from "./define_event.ts";
export { type CloudEvent, DomainEvent } from "./domain_event.ts";
export type { DomainEventInit } from "./domain_event_init.ts";
export type { EventBase, EventClass, SchemaEventBase } from "./event_class.ts";
export type {
  EventOptions,
  PathOf,
  RetentionOptions,
  SchemaEventOptions,
  TextPathOf,
  WithSubject,
} from "./event_options.ts";
export type {
  SchemaInput,
  SchemaOutput,
  StandardSchemaIssue,
  StandardSchemaResult,
  StandardSchemaV1,
} from "./validation/standard_schema.ts";
export { ValidationError, type ValidationIssue } from "./validation/validation_error.ts";
