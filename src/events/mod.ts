/**
 * Events: {@linkcode defineEvent} makes classes of them, and a {@linkcode DomainEvent} is what they all are.
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
export { type CloudEvent, DomainEvent, type DomainEventInit } from "./domain_event.ts";
export type { EventBase, EventClass, SchemaEventBase } from "./event_class.ts";
export type { EventOptions, PathOf, RetentionOptions, SchemaEventOptions } from "./event_options.ts";
export type {
  SchemaInput,
  SchemaOutput,
  StandardSchemaIssue,
  StandardSchemaResult,
  StandardSchemaV1,
} from "./validation/standard_schema.ts";
export { ValidationError, type ValidationIssue } from "./validation/validation_error.ts";
