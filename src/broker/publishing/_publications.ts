import { notePublication, publicationOf } from "../../events/_state.ts";
import type { DomainEvent } from "../../events/mod.ts";
import type { Outgoing, OutgoingOwner } from "./_outgoing.ts";

/** What a publisher knows of the events that it was given and that are stored, or may be. */
export class Publications {
  #by: OutgoingOwner;
  /** For events that another publisher was given first, which is rare. */
  #others: WeakMap<DomainEvent, Outgoing> | undefined;

  constructor(by: OutgoingOwner) {
    this.#by = by;
  }

  get(event: DomainEvent): Outgoing | undefined {
    const publication = publicationOf(event);
    return publication?.by === this.#by ? publication as Outgoing : this.#others?.get(event);
  }

  set(event: DomainEvent, outgoing: Outgoing): void {
    const publication = publicationOf(event);
    if (publication === undefined || publication.by === this.#by) notePublication(event, outgoing);
    else (this.#others ??= new WeakMap()).set(event, outgoing);
  }

  delete(event: DomainEvent): void {
    if (publicationOf(event)?.by === this.#by) notePublication(event, undefined);
    else this.#others?.delete(event);
  }
}
