import type { EventRecord } from "./_record.ts";
import type { DomainEvent, DomainEventInit } from "./domain_event.ts";
import type { EventClass } from "./event_class.ts";

export { checkExtensions, EventRecord, isExtension, isPrintable, MAX_ID_LENGTH, NO_EXTENSIONS } from "./_record.ts";
export { notePublication, type Publication, publicationOf, recordIn } from "./domain_event.ts";

/**
 * Builds an event of the user's class from a stored entry: nothing is checked, not even by the class's schema, and the
 * user's constructor, fields and methods are those of any event. Throws a TypeError when the constructor keeps the
 * record from the base class, since such an event would come back as another one.
 */
export function restore<E extends DomainEvent>(EventClass: EventClass<E>, detail: unknown, record: EventRecord): E {
  const event = new EventClass(detail, record as unknown as DomainEventInit);
  if (event.id === record.id && event.position === record.position) return event;
  throw new TypeError(
    `Cannot read an event ${record.id} as ${EventClass.name}: its constructor must take (detail, init) and call ` +
      `super(detail, init)`,
  );
}
