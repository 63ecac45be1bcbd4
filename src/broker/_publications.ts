import { notePublication, publicationOf } from "../events/_state.ts";
import type { DomainEvent } from "../events/mod.ts";
import type { Outgoing } from "./_outgoing.ts";

/** What a publisher knows of the events that it was given and that are stored, or may be. */
export class Publications {
  /** For events that another publisher was given first, which is rare. */
  #others = new WeakMap<DomainEvent, Outgoing>();

  get(event: DomainEvent): Outgoing | undefined {
    const publication = publicationOf(event);
    return publication?.by === this ? publication.known as Outgoing : this.#others.get(event);
  }

  set(event: DomainEvent, outgoing: Outgoing): void {
    const publication = publicationOf(event);
    if (publication === undefined || publication.by === this) notePublication(event, { by: this, known: outgoing });
    else this.#others.set(event, outgoing);
  }

  delete(event: DomainEvent): void {
    if (publicationOf(event)?.by === this) notePublication(event, undefined);
    else this.#others.delete(event);
  }
}
