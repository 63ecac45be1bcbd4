import type { DomainEvent } from "./domain_event.ts";
import type { DomainEventInit } from "./domain_event_init.ts";
import type { WithSubject } from "./event_options.ts";
import type { SchemaInput, SchemaOutput, StandardSchemaV1 } from "./validation/standard_schema.ts";

/** An event class for brokers: made by `defineEvent`, or a subclass of such a class. */
export interface EventClass<E extends DomainEvent = DomainEvent> {
  /** The type of its events. */
  readonly type: E["type"];
  /** The version of the detail's shape. */
  readonly version: number;
  /** Makes an event. */
  // deno-lint-ignore no-explicit-any
  new (detail: any, init?: DomainEventInit): E;
}

/**
 * A class to extend with the payload type.
 *
 * @example An exported event class, for a package on JSR
 * ```ts
 * import { defineEvent, type EventBase } from "@tidings/broker";
 * import { assertEquals } from "@std/assert";
 *
 * const Base: EventBase<"BidPlaced"> = defineEvent("BidPlaced");
 * class BidPlaced extends Base<{ amount: number }> {}
 *
 * assertEquals(new BidPlaced({ amount: 5 }).detail.amount, 5);
 * ```
 */
export interface EventBase<Type extends string, Subject extends string = string> {
  /** The type of its events. */
  readonly type: Type;
  /** The version of the detail's shape. */
  readonly version: number;
  /** Makes an event. */
  new <Detail extends WithSubject<Subject>>(detail: Detail, init?: DomainEventInit): DomainEvent<Type, Detail>;
}

/** A class to extend whose schema gives the payload type: `class X extends defineEvent("X", { schema }) {}`. */
export interface SchemaEventBase<Type extends string, Schema extends StandardSchemaV1> {
  /** The type of its events. */
  readonly type: Type;
  /** The version of the detail's shape. */
  readonly version: number;
  /**
   * Makes an event whose detail is the output of the schema for `detail`.
   *
   * @throws {ValidationError} If the schema refuses `detail`.
   */
  new (
    detail: SchemaInput<Schema>,
    init?: DomainEventInit,
  ): DomainEvent<Type, SchemaOutput<Schema>>;
}
