import type { EventRecord } from "./_record.ts";
import type { DomainEvent } from "./domain_event.ts";
import type { DomainEventInit } from "./domain_event_init.ts";
import type { EventClass } from "./event_class.ts";

export { checkExtensions, EventRecord, isExtension, isPrintable, MAX_ID_LENGTH, NO_EXTENSIONS } from "./_record.ts";
export { notePublication, type Publication, publicationOf, recordIn } from "./domain_event.ts";

/**
 * Makes an event of the user's class from a stored entry. Neither the values nor the detail are checked; the schema of the
 * class does not run either. The user's constructor runs as for any event.
 *
 * @throws {TypeError} If that constructor does not pass the record to the base class: the event would then have another id
 * than the stored one.
 */
export function restore<E extends DomainEvent>(EventClass: EventClass<E>, detail: unknown, record: EventRecord): E {
  const event = new EventClass(detail, record as unknown as DomainEventInit);
  if (event.id === record.id && event.position === record.position) return event;
  throw new TypeError(
    `Cannot read an event ${record.id} as ${EventClass.name}: its constructor must take (detail, init) and call ` +
      `super(detail, init)`,
  );
}
