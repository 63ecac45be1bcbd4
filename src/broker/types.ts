import type { EventClass } from "../events/mod.ts";

/** The events of a class. */
export type EventOf<C extends EventClass> = InstanceType<C>;

/** One of them, or a list. */
export type OneOrMore<C> = C | readonly C[];

/** What listens to events of this kind: a function, or an object with `handleEvent`. */
export type EventListenerOf<E, This = unknown> =
  | ((this: This, event: E & Event) => void)
  | { handleEvent(event: E & Event): void }
  | null;
